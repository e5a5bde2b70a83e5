"""Coding agents' command lines against a running gateway, each with every simulated provider.

WEIR_URL and WEIR_KEY say where; PROVIDERS, separated by spaces, which models to ask for (`NAME/sim-1`); NODE_BIN
and AIDER where the programs are; HOMES a directory for their files; AGENTS, where set, which of them to run.
A turn is asked for an answer word for word; for a tool loop the simulator is told which of the agent's own tools to
call with which command, and the command's output, which stands nowhere in the prompt, has to come back in the
agent's last answer. Prints lines as check.py does.
"""

import json
import os
import pathlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

URL = os.environ["WEIR_URL"]
KEY = os.environ["WEIR_KEY"]
PROVIDERS = os.environ["PROVIDERS"].split()
BIN = pathlib.Path(os.environ["NODE_BIN"])
HOMES = pathlib.Path(os.environ["HOMES"])
DEADLINE_SECONDS = 300
AT_ONCE = 3

TURN = "reply with: hello from afar"
# What it prints stands nowhere in the prompt; some agents refuse substitutions.
SHELL = "expr 41000 + 17"

AGENTS = {}


def agent(name, package):
    """`package`: below node_modules, or of Python's."""

    def add(run):
        run.package = package
        AGENTS[name] = run
        return run

    return add


def call(tool, **arguments):
    return f"call {tool} {json.dumps(arguments)}"


class Place:
    """Where one run has its home and its work."""

    def __init__(self, name):
        self.home = HOMES / name
        self.work = self.home / "work"
        self.work.mkdir(parents=True, exist_ok=True)

    def write(self, path, content):
        file = self.home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        return file

    def run(self, *command, **variables):
        # Nothing of the caller's environment but where programs are: no key, no proxy, no configuration.
        env = {"PATH": os.environ["PATH"], "HOME": str(self.home), "TERM": "dumb", "LANG": "C.UTF-8", **variables}
        done = subprocess.run(
            [str(part) for part in command],
            cwd=self.work, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE_SECONDS,
        )
        return done.returncode, done.stdout, done.stderr


@agent("Claude Code", "@anthropic-ai/claude-code")
def claude_code(place, model, prompt):
    return place.run(
        BIN / "claude", "-p", "--dangerously-skip-permissions", "--model", model, prompt,
        ANTHROPIC_BASE_URL=URL, ANTHROPIC_AUTH_TOKEN=KEY, ANTHROPIC_DEFAULT_HAIKU_MODEL=model, DISABLE_TELEMETRY="1",
        DISABLE_ERROR_REPORTING="1", DISABLE_AUTOUPDATER="1", CLAUDE_CODE_MAX_RETRIES="0", IS_SANDBOX="1",
        ANTHROPIC_CUSTOM_HEADERS="x-weir-tools: weir_calculate",
    )  # fmt: skip


claude_code.tool = call("Bash", command=SHELL, description="Echoes")
# One of its own and one of the gateway's in the same turn.
claude_code.both = claude_code.tool + " and " + call("weir_calculate", expression="0.1 + 0.2")


@agent("Codex", "@openai/codex")
def codex(place, model, prompt):
    provider = f'{{name="Weir",base_url="{URL}/v1",env_key="WEIR_API_KEY",wire_api="responses",request_max_retries=0,stream_max_retries=0}}'
    return place.run(
        BIN / "codex", "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox",
        "-c", 'model_provider="weir"', "-c", f"model_providers.weir={provider}", "-m", model, prompt,
        WEIR_API_KEY=KEY,
    )  # fmt: skip


codex.tool = call("exec_command", cmd=SHELL)


@agent("Gemini CLI", "@google/gemini-cli")
def gemini_cli(place, model, prompt):
    place.write(".gemini/settings.json", {
        "security": {"auth": {"selectedType": "gemini-api-key"}}, "privacy": {"usageStatisticsEnabled": False},
        "general": {"disableAutoUpdate": True},
    })  # fmt: skip
    return place.run(
        BIN / "gemini", "--yolo", "--skip-trust", "-m", model, "-p", prompt,
        GOOGLE_GEMINI_BASE_URL=URL, GEMINI_API_KEY=KEY, GEMINI_CLI_TRUST_WORKSPACE="true", NO_BROWSER="1",
    )  # fmt: skip


gemini_cli.tool = call("run_shell_command", command=SHELL)


@agent("opencode", "opencode-ai")
def opencode(place, model, prompt):
    place.write(".config/opencode/opencode.json", {
        "autoupdate": False, "share": "disabled", "model": f"weir/{model}", "small_model": f"weir/{model}",
        "provider": {"weir": {
            "npm": "@ai-sdk/openai-compatible", "name": "Weir", "options": {"baseURL": URL + "/v1", "apiKey": KEY},
            "models": {model: {"name": model, "tool_call": True, "limit": {"context": 200000, "output": 32000}}},
        }},
    })  # fmt: skip
    # An argument with a space in it would reach the model in quotes.
    return place.run(BIN / "opencode", "run", "-m", f"weir/{model}", *prompt.split(" "), OPENCODE_DISABLE_MODELS_FETCH="1")


opencode.tool = call("bash", command=SHELL, description="Echoes")


@agent("Qwen Code", "@qwen-code/qwen-code")
def qwen_code(place, model, prompt):
    place.write(".qwen/settings.json", {
        "security": {"auth": {"selectedType": "openai"}}, "privacy": {"usageStatisticsEnabled": False},
        "general": {"disableAutoUpdate": True},
    })  # fmt: skip
    return place.run(
        BIN / "qwen", "--yolo", "-m", model, "-p", prompt,
        OPENAI_BASE_URL=URL + "/v1", OPENAI_API_KEY=KEY, OPENAI_MODEL=model,
    )  # fmt: skip


qwen_code.tool = call("run_shell_command", command=SHELL, is_background=False)


def pi(api, base):
    def run(place, model, prompt):
        place.write(".pi/agent/models.json", {"providers": {"weir": {
            "baseUrl": base, "api": api, "apiKey": KEY,
            "models": [{
                "id": model, "name": model, "reasoning": False, "input": ["text"], "contextWindow": 128000,
                "maxTokens": 16000, "cost": {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0},
            }],
        }}})  # fmt: skip
        return place.run(BIN / "pi", "-p", "--provider", "weir", "--model", model, prompt, PI_OFFLINE="1")

    run.tool = call("bash", command=SHELL)
    return run


agent("pi (chat)", "@mariozechner/pi-coding-agent")(pi("openai-completions", URL + "/v1"))
agent("pi (messages)", "@mariozechner/pi-coding-agent")(pi("anthropic-messages", URL))
agent("pi (responses)", "@mariozechner/pi-coding-agent")(pi("openai-responses", URL + "/v1"))
agent("pi (gemini)", "@mariozechner/pi-coding-agent")(pi("google-generative-ai", URL + "/v1beta"))


@agent("aider", "aider-chat")
def aider(place, model, prompt):
    return place.run(
        os.environ["AIDER"], "--model", f"openai/{model}", "--message", prompt, "--yes-always", "--no-git",
        "--no-check-update", "--analytics-disable", "--no-show-model-warnings", "--no-detect-urls", "--edit-format", "diff",
        OPENAI_API_BASE=URL + "/v1", OPENAI_API_KEY=KEY,
    )  # fmt: skip


# It has no tools: it reads edits out of the answer.
aider.edit = "reply with: note.txt\n```\n<<<<<<< SEARCH\n=======\nhello from afar\n>>>>>>> REPLACE\n```\n"


def turn(place, run, provider):
    code, out, err = run(place, f"{provider}/sim-1", TURN)
    assert code == 0 and "hello from afar" in out.replace(TURN, ""), (code, out[-300:], err[-600:])


def tools(place, run, provider):
    if hasattr(run, "edit"):
        code, out, err = run(place, f"{provider}/sim-1", run.edit)
        note = place.work / "note.txt"
        assert code == 0 and note.exists() and note.read_text() == "hello from afar\n", (code, out[-600:], err[-300:])
        return
    code, out, err = run(place, f"{provider}/sim-1", run.tool)
    answer = out.rpartition("The tool answered")[2]
    assert code == 0 and "41017" in answer, (code, out[-300:], err[-600:])


def both(place, run, provider):
    code, out, err = run(place, f"{provider}/sim-1", run.both)
    answer = out.rpartition("The tools answered")[2]
    assert code == 0 and "41017" in answer and "0.3" in answer, (code, out[-600:], err[-600:])


def error(place, run, provider):
    code, out, err = run(place, f"{provider}/sim-error-400", TURN)
    assert "simulated error 400" in " ".join((out + err).split()), (code, out[-300:], err[-600:])


def check(name, provider, what):
    place = Place(f"{name}-{provider}-{what.__name__}".replace(" ", "-").replace("(", "").replace(")", "").lower())
    try:
        what(place, AGENTS[name], provider)
    except Exception as problem:  # noqa: BLE001 - any failure is a result
        return False, f"FAIL {name} | {provider} | {what.__name__}: {' '.join(str(problem).split())[:1200]}"
    return True, f"pass {name} | {provider} | {what.__name__}"


def version(package):
    manifest = BIN.parent / package / "package.json"
    if manifest.exists():
        return json.loads(manifest.read_text())["version"]
    found = pathlib.Path(os.environ["AIDER"]).parent.parent.glob("lib/*/site-packages/aider_chat-*.dist-info")
    return next(found).name.removeprefix("aider_chat-").removesuffix(".dist-info")


def main():
    wanted = [name for name in AGENTS if name in os.environ.get("AGENTS", name)]
    for name in wanted:
        print(f"client {name} | {version(AGENTS[name].package)}", flush=True)
    passed = failed = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        checks = {name: (turn, tools, both, error) if hasattr(AGENTS[name], "both") else (turn, tools, error) for name in wanted}
        runs = [pool.submit(check, name, provider, what) for name in wanted for provider in PROVIDERS for what in checks[name]]
        for run in runs:
            good, line = run.result()
            passed, failed = passed + good, failed + (not good)
            print(line, flush=True)
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


main()
