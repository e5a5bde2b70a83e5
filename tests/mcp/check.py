"""The official client of the Model Context Protocol against `/mcp` of the real binary, behind which stand the
reference server `mcp-server-time` (a child process) and one of the official SDK (streamable HTTP); and a model behind
a chat that calls the same servers.

The last line is `N passed, N failed`."""

import asyncio
import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

KEY = "wk-mcp-tests-0123456789"
OTHER = "wk-mcp-other-0123456789"
HERE = pathlib.Path(__file__).parent
BIN = pathlib.Path(sys.executable).parent

CONFIG = """
server: {{listen: "127.0.0.1:{public}"}}
admin: {{listen: "127.0.0.1:{admin}"}}
state: {{dir: "{dir}/data"}}
providers: {{sim: {{kind: openai-compatible, base_url: "http://127.0.0.1:{model}/v1", api_key: {key}}}}}
tenants:
  acme:
    keys: [{{id: acme-dev, secret: {key}}}]
    edge_tools: {{tools: ["time/*", "notes/*", weir_calculate]}}
  other:
    keys: [{{id: other-dev, secret: {other}}}]
tools:
  time:
    mcp: {{command: "{bin}/mcp-server-time", args: [--local-timezone, UTC]}}
    allow: [get_current_time]
  notes:
    mcp: {{url: "http://127.0.0.1:{notes}/mcp"}}
"""


def port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait(number, what):
    for _ in range(600):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", number), 1):
            return
        time.sleep(0.1)
    sys.exit(f"{what} does not listen")


@contextlib.asynccontextmanager
async def client(public, key, **options):
    async with httpx2.AsyncClient(headers={"authorization": f"Bearer {key}"}) as http:
        transport = streamable_http_client(f"http://127.0.0.1:{public}/mcp", http_client=http)
        async with Client(transport, **options) as connected:
            yield connected


def text(result):
    return result.content[0].text


async def names(connected):
    return sorted(tool.name for tool in (await connected.list_tools()).tools)


async def tools_of_all_servers_are_listed(public, _):
    async with client(public, KEY) as connected:
        listed = await names(connected)
        assert listed == ["notes__add", "notes__refuse", "time__get_current_time", "weir_calculate"], listed
        assert connected.server_info.name == "weir"


async def the_reference_server_is_called(public, _):
    async with client(public, KEY) as connected:
        result = await connected.call_tool("time__get_current_time", {"timezone": "Asia/Tokyo"})
        assert not result.is_error and json.loads(text(result))["timezone"] == "Asia/Tokyo", result


async def a_server_over_http_is_called(public, _):
    async with client(public, KEY) as connected:
        result = await connected.call_tool("notes__add", {"a": 2, "b": 40})
        assert text(result) == "42" and result.structured_content == {"result": 42}, result
        refused = await connected.call_tool("notes__refuse", {"why": "not today"})
        assert refused.is_error and "refuse" in text(refused), refused
        wrong = await connected.call_tool("notes__add", {"a": "two"})
        assert wrong.is_error, wrong


async def many_at_once_get_their_own_answers(public, _):
    async with client(public, KEY) as connected:
        calls = [connected.call_tool("notes__add", {"a": n, "b": 1000}) for n in range(50)]
        assert [text(result) for result in await asyncio.gather(*calls)] == [str(n + 1000) for n in range(50)]


async def an_older_handshake_works(public, _):
    async with client(public, KEY, mode="legacy") as connected:
        result = await connected.call_tool("weir_calculate", {"expression": "2^100"})
        assert json.loads(text(result)) == {"result": str(2**100), "rounded": False}, result


async def changes_can_be_followed(public, _):
    head = {"authorization": f"Bearer {KEY}", "accept": "text/event-stream"}
    async with httpx2.AsyncClient(headers=head) as http, http.stream("GET", f"http://127.0.0.1:{public}/mcp") as answer:
        assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/event-stream"), answer
        async for line in answer.aiter_lines():
            assert line.startswith(":"), line
            break
    async with client(public, KEY) as connected:
        assert connected.server_capabilities.tools.list_changed, connected.server_capabilities


async def another_tenant_has_none_of_it(public, _):
    async with client(public, OTHER) as connected:
        assert await names(connected) == []
        try:
            await connected.call_tool("notes__add", {"a": 1, "b": 1})
        except MCPError as error:
            assert error.error.code == -32602, error
        else:
            raise AssertionError("it was called")


async def the_admin_api_shows_the_servers(_, admin):
    with urllib.request.urlopen(f"http://127.0.0.1:{admin}/admin/v1/tools") as answer:
        rows = {row["name"]: row for row in json.load(answer)["data"]}
    assert rows["time"]["state"] == rows["notes"]["state"] == "connected", rows
    assert rows["notes"]["tools"] == ["add", "refuse"] and rows["time"]["last_error"] is None, rows


def chat(public, says, stream):
    body = {"model": "sim/simulator/sim-1", "stream": stream, "messages": [{"role": "user", "content": says}], "weir_tools": ["time/*", "notes/*"]}
    head = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{public}/v1/chat/completions", json.dumps(body).encode(), head)
    with urllib.request.urlopen(request) as answer:
        return answer.read().decode()


async def a_model_behind_a_chat_calls_them(public, _):
    asked = 'call time__get_current_time {"timezone": "Asia/Tokyo"} and call notes__add {"a": 2, "b": 40}'
    answer = json.loads(await asyncio.to_thread(chat, public, asked, False))
    said = answer["choices"][0]["message"]["content"]
    assert said.startswith("The tools answered: ") and "Asia/Tokyo" in said and "42" in said, answer
    assert [call["name"] for call in answer["weir_tools_executed"]] == ["time__get_current_time", "notes__add"], answer
    streamed = await asyncio.to_thread(chat, public, asked, True)
    assert "Asia/Tokyo" in streamed and '"tool_calls"' not in streamed and "[DONE]" in streamed, streamed
    finish = next(line for line in streamed.splitlines() if '"finish_reason":"stop"' in line)
    executed = json.loads(finish.removeprefix("data: "))["weir_tools_executed"]
    assert [call["name"] for call in executed] == ["time__get_current_time", "notes__add"], streamed


CHECKS = [
    tools_of_all_servers_are_listed,
    the_reference_server_is_called,
    a_server_over_http_is_called,
    many_at_once_get_their_own_answers,
    an_older_handshake_works,
    changes_can_be_followed,
    another_tenant_has_none_of_it,
    a_model_behind_a_chat_calls_them,
    the_admin_api_shows_the_servers,
]


def main(weir):
    passed = failed = 0
    public, admin, notes, model = port(), port(), port(), port()
    with tempfile.TemporaryDirectory() as folder:
        config = pathlib.Path(folder, "weir.yaml")
        places = {"public": public, "admin": admin, "notes": notes, "model": model, "dir": folder, "bin": BIN}
        config.write_text(CONFIG.format(key=KEY, other=OTHER, **places))
        environment = dict(os.environ, WEIR_LOG="warn")
        server = subprocess.Popen([sys.executable, HERE / "server.py", str(notes)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        demo = [weir, "demo", "--listen", f"127.0.0.1:{model}", "--admin", f"127.0.0.1:{port()}"]
        simulated = subprocess.Popen(demo, env=dict(environment, WEIR_API_KEY=KEY), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        gateway = subprocess.Popen([weir, "run", "--config", config], env=environment, stdout=subprocess.DEVNULL)
        try:
            wait(notes, "the server")
            wait(model, "the model")
            wait(public, "weir")
            for check in CHECKS:
                try:
                    asyncio.run(asyncio.wait_for(check(public, admin), 60))
                    passed += 1
                    print("pass", check.__name__)
                except Exception as error:
                    failed += 1
                    print("FAIL", check.__name__, repr(error))
            if gateway.poll() is not None:
                failed += 1
                print("FAIL weir died on the way")
        finally:
            for process in (gateway, simulated, server):
                process.terminate()
                process.wait()
    print(f"{passed} passed, {failed} failed")
    return failed == 0


sys.exit(0 if main(sys.argv[1]) else 1)
