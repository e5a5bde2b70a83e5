"""Python clients against a running gateway, each with every simulated provider.

WEIR_URL and WEIR_KEY say where; PROVIDERS, separated by spaces, which models to ask for (`NAME/sim-1`). The
arguments are the packages whose clients run: not all of them can be installed side by side.
Each client does what its users do: a turn, a stream, a tool loop, an error. Prints `client CLIENT | VERSION`,
then one line per provider and check: `pass CLIENT | PROVIDER | CHECK`, or `FAIL ...: why`; at the end
`N passed, N failed`.
"""

import asyncio
import importlib.metadata
import json
import os
import pathlib
import subprocess
import sys
import tempfile

URL = os.environ["WEIR_URL"]
KEY = os.environ["WEIR_KEY"]
PROVIDERS = os.environ["PROVIDERS"].split()
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
SAID = "You said: one two three"
WEATHER = "get_weather for Oslo"

CLIENTS = {}


def client(package, format=None):
    def add(make):
        CLIENTS[f"{package} ({format})" if format else package] = (package, make)
        return make

    return add


def equal(left, right):
    assert left == right, f"{left!r} is not {right!r}"


def raises(call):
    try:
        call()
    except Exception as error:  # noqa: BLE001 - every client has errors of its own
        assert "simulated error 400" in str(error), f"the reason is lost: {error!r}"
        return
    raise AssertionError("no error")


@client("google-genai")
def google_genai(provider):
    from google import genai
    from google.genai import types

    client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=URL))
    model = f"{provider}/sim-1"
    declaration = types.FunctionDeclaration(name="get_weather", description="The weather.", parameters_json_schema=CITY)
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[declaration])],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )

    def turn():
        answer = client.models.generate_content(model=model, contents="one two three")
        equal((answer.text, answer.usage_metadata.prompt_token_count), (SAID, 3))

    def stream():
        chunks = list(client.models.generate_content_stream(model=model, contents="one two three"))
        equal("".join(chunk.text or "" for chunk in chunks), SAID)
        equal(chunks[-1].usage_metadata.candidates_token_count, 5)

    def tools():
        contents = [types.Content(role="user", parts=[types.Part(text=WEATHER)])]
        answer = client.models.generate_content(model=model, contents=contents, config=config)
        call = answer.function_calls[0]
        equal((call.name, dict(call.args)), ("get_weather", {"city": "Oslo"}))
        result = types.Part.from_function_response(name=call.name, response={"output": "rain"})
        result.function_response.id = call.id
        contents += [answer.candidates[0].content, types.Content(role="user", parts=[result])]
        answer = client.models.generate_content(model=model, contents=contents, config=config)
        assert "rain" in answer.text, answer.text

    def thinking():
        options = config.model_copy(update={"thinking_config": types.ThinkingConfig(include_thoughts=True, thinking_budget=2048)})
        contents = [types.Content(role="user", parts=[types.Part(text=WEATHER)])]
        answer = client.models.generate_content(model=f"{provider}/sim-think", contents=contents, config=options)
        call = answer.function_calls[0]
        result = types.Part.from_function_response(name=call.name, response={"output": "rain"})
        result.function_response.id = call.id
        contents += [answer.candidates[0].content, types.Content(role="user", parts=[result])]
        answer = client.models.generate_content(model=f"{provider}/sim-think", contents=contents, config=options)
        assert "rain" in answer.text, answer.text

    def error():
        raises(lambda: client.models.generate_content(model=f"{provider}/sim-error-400", contents="x"))

    return {"turn": turn, "stream": stream, "tools": tools, "thinking": thinking, "error": error}


def langchain(model, broken):
    from langchain_core.messages import HumanMessage, ToolMessage
    from langchain_core.tools import tool

    @tool
    def get_weather(city: str) -> str:
        """The weather."""
        return f"rain in {city}"

    def text(message):
        return message.text if isinstance(message.text, str) else message.text()

    def turn():
        equal(text(model.invoke("one two three")), SAID)

    def stream():
        equal("".join(text(chunk) for chunk in model.stream("one two three")), SAID)

    def tools():
        bound = model.bind_tools([get_weather])
        messages = [HumanMessage(WEATHER)]
        answer = bound.invoke(messages)
        equal([call["args"] for call in answer.tool_calls], [{"city": "Oslo"}])
        messages += [answer] + [ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"], name=call["name"]) for call in answer.tool_calls]
        equal(text(bound.invoke(messages)), "The tool answered: rain in Oslo")

    def error():
        raises(lambda: broken.invoke("x"))

    return {"turn": turn, "stream": stream, "tools": tools, "error": error}


@client("langchain-openai", "chat")
def langchain_chat(provider):
    from langchain_openai import ChatOpenAI

    make = lambda name: ChatOpenAI(model=f"{provider}/{name}", base_url=URL + "/v1", api_key=KEY, max_retries=0)  # noqa: E731
    return langchain(make("sim-1"), make("sim-error-400"))


@client("langchain-openai", "responses")
def langchain_responses(provider):
    from langchain_openai import ChatOpenAI

    make = lambda name: ChatOpenAI(model=f"{provider}/{name}", base_url=URL + "/v1", api_key=KEY, max_retries=0, use_responses_api=True)  # noqa: E731
    return langchain(make("sim-1"), make("sim-error-400"))


@client("langchain-anthropic")
def langchain_anthropic(provider):
    from langchain_anthropic import ChatAnthropic

    make = lambda name: ChatAnthropic(model=f"{provider}/{name}", base_url=URL, api_key=KEY, max_retries=0, max_tokens=1000)  # noqa: E731
    return langchain(make("sim-1"), make("sim-error-400"))


@client("langchain-google-genai")
def langchain_google(provider):
    from langchain_google_genai import ChatGoogleGenerativeAI

    make = lambda name: ChatGoogleGenerativeAI(model=f"{provider}/{name}", base_url=URL, api_key=KEY, max_retries=1)  # noqa: E731
    return langchain(make("sim-1"), make("sim-error-400"))


def pydantic_ai(make):
    from pydantic_ai import Agent

    def agent(name="sim-1"):
        it = Agent(make(name))

        @it.tool_plain
        def get_weather(city: str) -> str:
            """The weather."""
            return f"rain in {city}"

        return it

    def turn():
        equal(agent().run_sync("one two three").output, SAID)

    def stream():
        async def run():
            async with agent().run_stream("one two three") as result:
                return "".join([piece async for piece in result.stream_text(delta=True)])

        equal(asyncio.run(run()), SAID)

    def tools():
        output = agent().run_sync(WEATHER).output
        assert "rain in Oslo" in output, output

    def error():
        raises(lambda: agent("sim-error-400").run_sync("x"))

    return {"turn": turn, "stream": stream, "tools": tools, "error": error}


@client("pydantic-ai-slim", "chat")
def pydantic_chat(provider):
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    return pydantic_ai(lambda name: OpenAIChatModel(f"{provider}/{name}", provider=OpenAIProvider(base_url=URL + "/v1", api_key=KEY)))


@client("pydantic-ai-slim", "responses")
def pydantic_responses(provider):
    from pydantic_ai.models.openai import OpenAIResponsesModel
    from pydantic_ai.providers.openai import OpenAIProvider

    return pydantic_ai(lambda name: OpenAIResponsesModel(f"{provider}/{name}", provider=OpenAIProvider(base_url=URL + "/v1", api_key=KEY)))


@client("pydantic-ai-slim", "messages")
def pydantic_messages(provider):
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    return pydantic_ai(lambda name: AnthropicModel(f"{provider}/{name}", provider=AnthropicProvider(base_url=URL, api_key=KEY)))


@client("pydantic-ai-slim", "gemini")
def pydantic_gemini(provider):
    from pydantic_ai.models.google import GoogleModel
    from pydantic_ai.providers.google import GoogleProvider

    return pydantic_ai(lambda name: GoogleModel(f"{provider}/{name}", provider=GoogleProvider(base_url=URL, api_key=KEY)))


def litellm(prefix, base):
    def make(provider):
        import litellm as library

        library.suppress_debug_info = True
        options = {"model": f"{prefix}/{provider}/sim-1", "api_base": base, "api_key": KEY, "num_retries": 0}
        tool = {"type": "function", "function": {"name": "get_weather", "description": "The weather.", "parameters": CITY}}

        def turn():
            answer = library.completion(messages=[{"role": "user", "content": "one two three"}], **options)
            equal(answer.choices[0].message.content, SAID)

        def stream():
            chunks = library.completion(messages=[{"role": "user", "content": "one two three"}], stream=True, **options)
            equal("".join(chunk.choices[0].delta.content or "" for chunk in chunks), SAID)

        def tools():
            messages = [{"role": "user", "content": WEATHER}]
            answer = library.completion(messages=messages, tools=[tool], **options).choices[0].message
            equal(json.loads(answer.tool_calls[0].function.arguments), {"city": "Oslo"})
            messages += [answer.model_dump(), {"role": "tool", "tool_call_id": answer.tool_calls[0].id, "content": "rain"}]
            answer = library.completion(messages=messages, tools=[tool], **options)
            equal(answer.choices[0].message.content, "The tool answered: rain")

        def error():
            broken = {**options, "model": f"{prefix}/{provider}/sim-error-400"}
            raises(lambda: library.completion(messages=[{"role": "user", "content": "x"}], **broken))

        return {"turn": turn, "stream": stream, "tools": tools, "error": error}

    return make


client("litellm", "openai")(litellm("openai", URL + "/v1"))
client("litellm", "anthropic")(litellm("anthropic", URL))


@client("llama-index-llms-openai")
def llama_index(provider):
    from llama_index.core.base.llms.types import ChatMessage
    from llama_index.llms.openai import OpenAI as LlamaOpenAI

    class Here(LlamaOpenAI):
        @property
        def _tokenizer(self):
            return None

        @property
        def metadata(self):
            from llama_index.core.base.llms.types import LLMMetadata

            return LLMMetadata(context_window=128000, num_output=1000, is_chat_model=True, is_function_calling_model=True, model_name=self.model)

    model = Here(model=f"{provider}/sim-1", api_base=URL + "/v1", api_key=KEY, max_retries=0)
    messages = [ChatMessage(role="user", content="one two three")]

    def turn():
        equal(model.chat(messages).message.content, SAID)

    def stream():
        equal("".join(chunk.delta or "" for chunk in model.stream_chat(messages)), SAID)

    return {"turn": turn, "stream": stream}


@client("instructor")
def instructor(provider):
    import instructor as library
    import openai
    from pydantic import BaseModel

    class Trip(BaseModel):
        city: str
        days: int

    client = library.from_openai(openai.OpenAI(base_url=URL + "/v1", api_key=KEY, max_retries=0))
    ask = [{"role": "user", "content": "to Rome for 3 days"}]

    def turn():
        trip = client.chat.completions.create(model=f"{provider}/sim-1", messages=ask, response_model=Trip)
        equal((trip.city, trip.days), ("Rome", 3))

    def stream():
        last = list(client.chat.completions.create_partial(model=f"{provider}/sim-1", messages=ask, response_model=Trip))[-1]
        equal((last.city, last.days), ("Rome", 3))

    def error():
        raises(lambda: client.chat.completions.create(model=f"{provider}/sim-error-400", messages=ask, response_model=Trip, max_retries=1))

    return {"turn": turn, "stream": stream, "error": error}


def openai_agents(kind):
    def make(provider):
        import agents
        import openai

        agents.set_tracing_disabled(True)
        @agents.function_tool
        def get_weather(city: str) -> str:
            """The weather."""
            return f"rain in {city}"

        def agent(name="sim-1"):
            # Each run has a loop of its own, and a client belongs to one.
            client = openai.AsyncOpenAI(base_url=URL + "/v1", api_key=KEY, max_retries=0)
            model = getattr(agents, kind)(model=f"{provider}/{name}", openai_client=client)
            return agents.Agent(name="check", model=model, tools=[get_weather])

        def turn():
            equal(agents.Runner.run_sync(agent(), "one two three").final_output, SAID)

        def stream():
            async def run():
                result = agents.Runner.run_streamed(agent(), "one two three")
                async for _ in result.stream_events():
                    pass
                return result.final_output

            equal(asyncio.run(run()), SAID)

        def tools():
            equal(agents.Runner.run_sync(agent(), WEATHER).final_output, "The tool answered: rain in Oslo")

        def error():
            raises(lambda: agents.Runner.run_sync(agent("sim-error-400"), "x"))

        return {"turn": turn, "stream": stream, "tools": tools, "error": error}

    return make


client("openai-agents", "chat")(openai_agents("OpenAIChatCompletionsModel"))
client("openai-agents", "responses")(openai_agents("OpenAIResponsesModel"))


@client("llm")
def llm(provider):
    folder = pathlib.Path(tempfile.mkdtemp())
    models = [
        {"model_id": name, "model_name": f"{provider}/{name}", "api_base": URL + "/v1", "api_key_name": "weir", "supports_tools": True}
        for name in ("sim-1", "sim-error-400")
    ]
    (folder / "extra-openai-models.yaml").write_text(json.dumps(models))
    (folder / "keys.json").write_text(json.dumps({"weir": KEY}))

    def run(*arguments):
        command = [sys.executable, "-m", "llm", *arguments]
        done = subprocess.run(command, env={**os.environ, "LLM_USER_PATH": str(folder)}, capture_output=True, text=True, timeout=60)
        return (done.stdout + done.stderr).strip()

    def turn():
        equal(run("-m", "sim-1", "--no-stream", "one two three"), SAID)

    def stream():
        equal(run("-m", "sim-1", "one two three"), SAID)

    def tools():
        function = "def get_weather(city: str) -> str:\n    return 'rain in ' + city"
        equal(run("-m", "sim-1", "--functions", function, WEATHER), "The tool answered: rain in Oslo")

    def error():
        said = run("-m", "sim-error-400", "x")
        assert "simulated error 400" in said, said

    return {"turn": turn, "stream": stream, "tools": tools, "error": error}


def main():
    passed = failed = 0
    for name, (package, make) in CLIENTS.items():
        if package not in sys.argv[1:]:
            continue
        print(f"client {name} | {importlib.metadata.version(package)}")
        for provider in PROVIDERS:
            try:
                checks = make(provider)
            except Exception as error:  # noqa: BLE001 - a client that cannot be made fails
                failed += 1
                print(f"FAIL {name} | {provider} | start: {error!r}"[:600], flush=True)
                continue
            for check, run in checks.items():
                try:
                    run()
                except Exception as error:  # noqa: BLE001 - any failure is a result
                    failed += 1
                    print(f"FAIL {name} | {provider} | {check}: {type(error).__name__}: {' '.join(str(error).split())[:500]}", flush=True)
                else:
                    passed += 1
                    print(f"pass {name} | {provider} | {check}", flush=True)
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


main()
