"""Python clients against a running gateway, each with every simulated provider.

WEIR_URL and WEIR_KEY say where; PROVIDERS, separated by spaces, which models to ask for (`NAME/sim-1`).
Each client does what its users do: a turn, a stream, a tool loop, an error. Prints one line per client,
provider and check: `pass CLIENT | PROVIDER | CHECK`, or `FAIL ...: why`; then `N passed, N failed`.
"""

import json
import os
import sys

URL = os.environ["WEIR_URL"]
KEY = os.environ["WEIR_KEY"]
PROVIDERS = os.environ["PROVIDERS"].split()
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
SAID = "You said: one two three"
WEATHER = "get_weather for Oslo"

CLIENTS = {}


def client(name):
    def add(make):
        CLIENTS[name] = make
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


@client("langchain-openai (chat)")
def langchain_chat(provider):
    from langchain_openai import ChatOpenAI

    make = lambda name: ChatOpenAI(model=f"{provider}/{name}", base_url=URL + "/v1", api_key=KEY, max_retries=0)  # noqa: E731
    return langchain(make("sim-1"), make("sim-error-400"))


@client("langchain-openai (responses)")
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
        import asyncio

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


@client("pydantic-ai (chat)")
def pydantic_chat(provider):
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    return pydantic_ai(lambda name: OpenAIChatModel(f"{provider}/{name}", provider=OpenAIProvider(base_url=URL + "/v1", api_key=KEY)))


@client("pydantic-ai (responses)")
def pydantic_responses(provider):
    from pydantic_ai.models.openai import OpenAIResponsesModel
    from pydantic_ai.providers.openai import OpenAIProvider

    return pydantic_ai(lambda name: OpenAIResponsesModel(f"{provider}/{name}", provider=OpenAIProvider(base_url=URL + "/v1", api_key=KEY)))


@client("pydantic-ai (messages)")
def pydantic_messages(provider):
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    return pydantic_ai(lambda name: AnthropicModel(f"{provider}/{name}", provider=AnthropicProvider(base_url=URL, api_key=KEY)))


@client("pydantic-ai (gemini)")
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


client("litellm (openai)")(litellm("openai", URL + "/v1"))
client("litellm (anthropic)")(litellm("anthropic", URL))


@client("llama-index (openai-like)")
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


def main():
    passed = failed = 0
    for name, make in CLIENTS.items():
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
