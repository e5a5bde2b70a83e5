"""The official Python SDKs against a running gateway.

WEIR_URL and WEIR_KEY say where; the gateway serves the simulator under each format, as `simulator/...`
(OpenAI's chat), `simulator-anthropic/...` and so on. Every check runs for each, so that each SDK meets its
own format and the others. Prints `pass NAME` or `FAIL NAME: why` and a closing
`N passed, N failed`.
"""

import base64
import http.client
import json
import os
import struct
import sys
import traceback
from urllib.parse import urlsplit

import anthropic
import openai
import google.genai
import google.genai.errors
from anthropic.types import Message, RawMessageStreamEvent
from google.genai import types as google_types
from openai.types import CreateEmbeddingResponse, Completion, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

URL = os.environ["WEIR_URL"]
KEY = os.environ["WEIR_KEY"]
OPENAI = openai.OpenAI(base_url=URL + "/v1", api_key=KEY, max_retries=0, timeout=30)
ANTHROPIC = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0, timeout=30)
GOOGLE = google.genai.Client(api_key=KEY, http_options=google_types.HttpOptions(base_url=URL, timeout=30_000))
PROVIDERS = ["simulator", "simulator-anthropic", "simulator-responses", "simulator-gemini", "simulator-bedrock", "simulator-cohere"]
# A model that thinks by a budget, where `claude-sonnet-4-5` is no name of the vendor's.
THINKS = {"simulator-bedrock": "anthropic.claude-sonnet-4-5-20250929-v1:0", "simulator-cohere": "command-a-reasoning-08-2025"}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
FUNCTION = {"type": "function", "function": {"name": "get_weather", "description": "The weather.", "parameters": CITY}}
TOOL = {"name": "get_weather", "description": "The weather.", "input_schema": CITY}
ASK_TWO = "get_weather for Paris and get_weather for Rome"

CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def user(text):
    return [{"role": "user", "content": text}]


def equal(left, right):
    assert left == right, f"{left!r} is not {right!r}"


def raw(path, body, headers=()):
    """One request without an SDK: status and body, for validation of the bytes themselves."""
    url = urlsplit(URL)
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json", **dict(headers)}
    connection.request("POST", path, json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def data_lines(text):
    lines = [line[len("data: "):] for line in text.split("\n") if line.startswith("data: ")]
    return [line for line in lines if line != "[DONE]"]


# --- Chat Completions


@check
def chat_answers(provider):
    answer = OPENAI.chat.completions.create(model=f"{provider}/sim-1", messages=user("one two three"))
    equal(answer.choices[0].message.content, "You said: one two three")
    equal(answer.choices[0].finish_reason, "stop")
    equal((answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens), (3, 5, 8))


@check
def chat_streams(provider):
    stream = OPENAI.chat.completions.create(
        model=f"{provider}/sim-1", messages=user("héllo 👋"), stream=True, stream_options={"include_usage": True}
    )
    text, usage, finish = "", None, None
    for chunk in stream:
        if chunk.choices:
            text += chunk.choices[0].delta.content or ""
            finish = chunk.choices[0].finish_reason or finish
        usage = chunk.usage or usage
    equal((text, finish), ("You said: héllo 👋", "stop"))
    equal((usage.prompt_tokens, usage.completion_tokens), (2, 4))


@check
def chat_stream_helper(provider):
    with OPENAI.chat.completions.stream(model=f"{provider}/sim-1", messages=user(ASK_TWO), tools=[strict_function()]) as stream:
        for _ in stream:
            pass
        calls = stream.get_final_completion().choices[0].message.tool_calls
    equal([call.function.arguments for call in calls], ['{"city":"Paris"}', '{"city":"Rome"}'])


def strict_function():
    return {"type": "function", "function": {**FUNCTION["function"], "strict": True}}


@check
def chat_tool_loop_with_parallel_calls(provider):
    messages = user(ASK_TWO)
    answer = OPENAI.chat.completions.create(model=f"{provider}/sim-1", messages=messages, tools=[FUNCTION])
    equal(answer.choices[0].finish_reason, "tool_calls")
    message = answer.choices[0].message
    equal([json.loads(c.function.arguments) for c in message.tool_calls], [{"city": "Paris"}, {"city": "Rome"}])
    messages.append(message)
    for call in message.tool_calls:
        messages.append({"role": "tool", "tool_call_id": call.id, "content": "sun in " + json.loads(call.function.arguments)["city"]})
    answer = OPENAI.chat.completions.create(model=f"{provider}/sim-1", messages=messages, tools=[FUNCTION])
    equal(answer.choices[0].message.content, "The tools answered: sun in Paris; sun in Rome")


CALCULATE = 'call weir_calculate {"expression": "0.1 + 0.2"}'


def is_three_tenths(text):
    assert text.startswith("The tool answered: ") and '"0.3"' in text, text


@check
def chat_with_a_tool_of_the_gateways(provider):
    extra = {"weir_tools": ["weir_calculate"]}
    answer = OPENAI.chat.completions.create(model=f"{provider}/sim-1", messages=user(CALCULATE), extra_body=extra)
    is_three_tenths(answer.choices[0].message.content)
    equal((answer.choices[0].finish_reason, answer.choices[0].message.tool_calls), ("stop", None))
    equal(answer.weir_tools_executed[0]["name"], "weir_calculate")
    stream = OPENAI.chat.completions.create(model=f"{provider}/sim-1", messages=user(CALCULATE), extra_body=extra, stream=True)
    chunks = [chunk for chunk in stream if chunk.choices]
    deltas = [chunk.choices[0].delta for chunk in chunks]
    is_three_tenths("".join(delta.content or "" for delta in deltas))
    equal([delta.tool_calls for delta in deltas if delta.tool_calls], [])
    equal(chunks[-1].weir_tools_executed[0]["name"], "weir_calculate")


@check
def chat_with_tools_of_both(provider):
    """The model calls one of each: the client answers its own, and the other's result is there when it does."""
    options = {"model": f"{provider}/sim-1", "tools": [FUNCTION], "extra_headers": {"x-weir-tools": "weir_calculate"}}
    messages = user("get_weather for Paris and weir_calculate 1 + 1")
    with OPENAI.chat.completions.stream(messages=messages, **options) as stream:
        message = stream.get_final_completion().choices[0].message
    equal([call.function.name for call in message.tool_calls], ["get_weather"])
    messages += [message, {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "sun"}]
    answer = OPENAI.chat.completions.create(messages=messages, **options).choices[0].message.content
    assert answer.startswith("The tools answered: ") and "sun" in answer, answer


@check
def chat_thinking_survives_a_tool_loop(provider):
    messages = user("use get_weather for Oslo")
    options = {"model": f"{provider}/sim-think", "tools": [FUNCTION], "reasoning_effort": "high"}
    answer = OPENAI.chat.completions.create(messages=messages, **options)
    message = answer.choices[0].message
    equal(message.reasoning_content, "Let me think about this: use get_weather for Oslo")
    # As most clients do: only what the SDK has a field for goes back.
    messages.append({
        "role": "assistant",
        "content": message.content,
        "tool_calls": [c.model_dump() for c in message.tool_calls],
    })
    messages.append({"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "rain"})
    answer = OPENAI.chat.completions.create(messages=messages, **options)
    equal(answer.choices[0].message.content, "The tool answered: rain")


@check
def chat_structured_output(provider):
    class Trip(BaseModel):
        city: str
        days: int

    answer = OPENAI.chat.completions.parse(
        model=f"{provider}/sim-1", messages=user("to Rome for 3 days"), response_format=Trip
    )
    equal(answer.choices[0].message.parsed, Trip(city="Rome", days=3))


@check
def chat_bytes_are_valid(provider):
    adapter = TypeAdapter(ChatCompletion)
    for extra in [{}, {"tools": [FUNCTION]}, {"max_tokens": 3}, {"stop": ["for"]}, {"reasoning_effort": "low"}]:
        for model in ["sim-1", "sim-think", "sim-no-usage"]:
            status, text = raw("/v1/chat/completions", {"model": f"{provider}/{model}", "messages": user(ASK_TWO), **extra})
            equal(status, 200)
            adapter.validate_json(text, strict=True)


@check
def chat_chunks_are_valid(provider):
    adapter = TypeAdapter(ChatCompletionChunk)
    for extra in [{}, {"tools": [FUNCTION]}, {"stream_options": {"include_usage": True}}, {"reasoning_effort": "low"}]:
        for model in ["sim-1", "sim-think", "sim-no-usage", "sim-drip"]:
            body = {"model": f"{provider}/{model}", "messages": user(ASK_TWO), "stream": True, **extra}
            status, text = raw("/v1/chat/completions", body)
            equal(status, 200)
            assert text.endswith("data: [DONE]\n\n"), text[-80:]
            for line in data_lines(text):
                adapter.validate_json(line, strict=True)


@check
def chat_errors_are_the_right_exceptions(provider):
    cases = [
        ("sim-error-400", openai.BadRequestError),
        ("sim-error-429", openai.RateLimitError),
        ("sim-error-500", openai.InternalServerError),
        ("sim-error-529", openai.InternalServerError),
        ("sim-stream-error", openai.InternalServerError),
    ]
    for model, wanted in cases:
        for stream in [False, True]:
            try:
                OPENAI.chat.completions.create(model=f"{provider}/{model}", messages=user("hi"), stream=stream)
            except wanted as error:
                assert error.message and isinstance(error.body, dict), error
            else:
                raise AssertionError(f"{model} did not raise")


@check
def chat_stream_that_breaks_raises(provider):
    try:
        for _ in OPENAI.chat.completions.create(model=f"{provider}/sim-stream-midstream-error", messages=user("a b c d e f"), stream=True):
            pass
    except openai.APIError:
        return
    raise AssertionError("the stream ended as if all were well")


# --- Messages


@check
def messages_answer(provider):
    answer = ANTHROPIC.messages.create(model=f"{provider}/sim-1", max_tokens=100, messages=user("one two three"))
    equal((answer.content[0].type, answer.content[0].text, answer.stop_reason), ("text", "You said: one two three", "end_turn"))
    equal((answer.usage.input_tokens, answer.usage.output_tokens), (3, 5))


@check
def messages_stream(provider):
    with ANTHROPIC.messages.stream(model=f"{provider}/sim-1", max_tokens=100, messages=user("héllo 👋")) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    equal((text, final.stop_reason, final.usage.output_tokens), ("You said: héllo 👋", "end_turn", 4))


@check
def messages_with_a_tool_of_the_gateways(provider):
    head = {"x-weir-tools": "weir_calculate"}
    options = {"model": f"{provider}/sim-1", "max_tokens": 200, "messages": user(CALCULATE), "extra_headers": head}
    answer = ANTHROPIC.messages.create(**options)
    is_three_tenths(answer.content[-1].text)
    equal(answer.stop_reason, "end_turn")
    with ANTHROPIC.messages.stream(**options) as stream:
        answer = stream.get_final_message()
    is_three_tenths(answer.content[-1].text)
    equal([block.type for block in answer.content if block.type == "tool_use"], [])


@check
def responses_with_a_tool_of_the_gateways(provider):
    options = {"model": f"{provider}/sim-1", "input": CALCULATE, "extra_body": {"weir_tools": ["weir_calculate"]}, "store": False}
    answer = OPENAI.responses.create(**options)
    is_three_tenths(answer.output_text)
    with OPENAI.responses.stream(**options) as stream:
        answer = stream.get_final_response()
    is_three_tenths(answer.output_text)
    equal(answer.weir_tools_executed[0]["name"], "weir_calculate")


@check
def messages_tool_loop_with_parallel_calls(provider):
    messages = user(ASK_TWO)
    for stream in [False, True]:
        options = {"model": f"{provider}/sim-1", "max_tokens": 200, "tools": [TOOL]}
        if stream:
            with ANTHROPIC.messages.stream(messages=messages, **options) as events:
                answer = events.get_final_message()
        else:
            answer = ANTHROPIC.messages.create(messages=messages, **options)
        equal(answer.stop_reason, "tool_use")
        uses = [block for block in answer.content if block.type == "tool_use"]
        equal([use.input for use in uses], [{"city": "Paris"}, {"city": "Rome"}])
        results = [{"type": "tool_result", "tool_use_id": use.id, "content": "sun in " + use.input["city"]} for use in uses]
        turns = [*messages, {"role": "assistant", "content": answer.content}, {"role": "user", "content": results}]
        answer = ANTHROPIC.messages.create(messages=turns, **options)
        equal(answer.content[0].text, "The tools answered: sun in Paris; sun in Rome")


@check
def messages_thinking_round_trip(provider):
    options = {
        "model": f"{provider}/{THINKS.get(provider, 'claude-sonnet-4-5')}", "max_tokens": 4096, "tools": [TOOL],
        "thinking": {"type": "enabled", "budget_tokens": 1024},
    }
    messages = user("use get_weather for Oslo")
    for stream in [False, True]:
        if stream:
            with ANTHROPIC.messages.stream(messages=messages, **options) as events:
                answer = events.get_final_message()
        else:
            answer = ANTHROPIC.messages.create(messages=messages, **options)
        # A proof that its upstream gives apart from the thought is a block of its own.
        equal(list(dict.fromkeys(block.type for block in answer.content)), ["thinking", "tool_use"])
        equal(answer.content[0].thinking, "Let me think about this: use get_weather for Oslo")
        result = {"type": "tool_result", "tool_use_id": answer.content[-1].id, "content": "rain"}
        turns = [*messages, {"role": "assistant", "content": answer.content}, {"role": "user", "content": [result]}]
        answer = ANTHROPIC.messages.create(messages=turns, **options)
        equal(answer.content[-1].text, "The tool answered: rain")


@check
def messages_structured_output(provider):
    schema = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city", "days"], "additionalProperties": False}
    answer = ANTHROPIC.messages.create(
        model=f"{provider}/sim-1", max_tokens=100, messages=user("to Rome for 3 days"),
        extra_body={"output_config": {"format": {"type": "json_schema", "schema": schema}}},
    )
    equal(json.loads(answer.content[0].text), {"city": "Rome", "days": 3})


@check
def messages_bytes_are_valid(provider):
    adapter = TypeAdapter(Message)
    thinking = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    for extra in [{}, {"tools": [TOOL]}, {"max_tokens": 3}, {"stop_sequences": ["for"]}, thinking]:
        for model in ["sim-1", "sim-think", "sim-no-usage"]:
            body = {"model": f"{provider}/{model}", "max_tokens": 4096, "messages": user(ASK_TWO), **extra}
            status, text = raw("/v1/messages", body)
            equal(status, 200)
            if model == "sim-no-usage" and provider == "simulator-anthropic" and '"usage"' not in text:
                continue  # the upstream's own bytes, which lack what the vendor always sends
            adapter.validate_json(text, strict=True)


@check
def messages_events_are_valid(provider):
    adapter = TypeAdapter(RawMessageStreamEvent)
    thinking = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    for extra in [{}, {"tools": [TOOL]}, thinking]:
        for model in ["sim-1", "sim-think", "sim-drip"]:
            body = {"model": f"{provider}/{model}", "max_tokens": 4096, "messages": user(ASK_TWO), "stream": True, **extra}
            status, text = raw("/v1/messages", body)
            equal(status, 200)
            for line in data_lines(text):
                if json.loads(line)["type"] != "ping":
                    adapter.validate_json(line, strict=True)


@check
def messages_errors_are_the_right_exceptions(provider):
    cases = [
        ("sim-error-400", anthropic.BadRequestError),
        ("sim-error-429", anthropic.RateLimitError),
        ("sim-error-500", anthropic.InternalServerError),
        ("sim-error-529", anthropic.InternalServerError),
        ("sim-stream-error", anthropic.InternalServerError),
    ]
    for model, wanted in cases:
        for stream in [False, True]:
            try:
                ANTHROPIC.messages.create(model=f"{provider}/{model}", max_tokens=10, messages=user("hi"), stream=stream)
            except wanted as error:
                assert error.message and error.request_id, error
            else:
                raise AssertionError(f"{model} did not raise")


@check
def messages_stream_that_breaks_raises(provider):
    try:
        with ANTHROPIC.messages.stream(model=f"{provider}/sim-stream-midstream-error", max_tokens=100, messages=user("a b c d e f")) as stream:
            stream.get_final_message()
    except anthropic.APIError:
        return
    raise AssertionError("the stream ended as if all were well")


@check
def count_tokens(provider):
    count = ANTHROPIC.messages.count_tokens(model=f"{provider}/sim-1", messages=user("one two three"))
    assert 3 <= count.input_tokens <= 20, count


# --- Responses

RESPONSES_TOOL = {"type": "function", "name": "get_weather", "description": "The weather.", "parameters": CITY, "strict": True}


@check
def responses_answer(provider):
    answer = OPENAI.responses.create(model=f"{provider}/sim-1", input="one two three", instructions="be brief")
    equal((answer.output_text, answer.status, answer.instructions), ("You said: one two three", "completed", "be brief"))
    equal((answer.usage.input_tokens, answer.usage.output_tokens), (5, 5))


@check
def responses_stream(provider):
    with OPENAI.responses.stream(model=f"{provider}/sim-drip", input="héllo 👋") as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        final = stream.get_final_response()
    equal((text, final.output_text, final.usage.output_tokens), ("You said: héllo 👋", "You said: héllo 👋", 4))


@check
def responses_tool_loop_with_parallel_calls(provider):
    for stream in [False, True]:
        options = {"model": f"{provider}/sim-1", "tools": [RESPONSES_TOOL]}
        turns = [*user(ASK_TWO)]
        if stream:
            with OPENAI.responses.stream(input=turns, **options) as events:
                answer = events.get_final_response()
        else:
            answer = OPENAI.responses.create(input=turns, **options)
        calls = [item for item in answer.output if item.type == "function_call"]
        equal([json.loads(call.arguments) for call in calls], [{"city": "Paris"}, {"city": "Rome"}])
        turns += answer.output
        for call in calls:
            turns.append({"type": "function_call_output", "call_id": call.call_id, "output": "sun in " + json.loads(call.arguments)["city"]})
        answer = OPENAI.responses.create(input=turns, **options)
        equal(answer.output_text, "The tools answered: sun in Paris; sun in Rome")


@check
def responses_thinking_survives_a_tool_loop(provider):
    options = {
        "model": f"{provider}/sim-think", "tools": [RESPONSES_TOOL], "store": False,
        "reasoning": {"effort": "high", "summary": "auto"}, "include": ["reasoning.encrypted_content"],
    }
    for stream in [False, True]:
        turns = [*user("use get_weather for Oslo")]
        if stream:
            with OPENAI.responses.stream(input=turns, **options) as events:
                answer = events.get_final_response()
        else:
            answer = OPENAI.responses.create(input=turns, **options)
        equal(list(dict.fromkeys(item.type for item in answer.output)), ["reasoning", "function_call"])
        equal(answer.output[0].summary[0].text, "Let me think about this: use get_weather for Oslo")
        turns += answer.output
        turns.append({"type": "function_call_output", "call_id": answer.output[-1].call_id, "output": "rain"})
        answer = OPENAI.responses.create(input=turns, **options)
        equal(answer.output_text, "The tool answered: rain")


@check
def responses_structured_output(provider):
    class Trip(BaseModel):
        city: str
        days: int

    answer = OPENAI.responses.parse(model=f"{provider}/sim-1", input="to Rome for 3 days", text_format=Trip)
    equal(answer.output_parsed, Trip(city="Rome", days=3))


@check
def responses_custom_tools(provider):
    tool = {"type": "custom", "name": "apply_patch", "description": "Edits files."}
    turns = [*user("use apply_patch now")]
    answer = OPENAI.responses.create(model=f"{provider}/sim-1", input=turns, tools=[tool])
    call = answer.output[-1]
    if provider != "simulator-responses":
        equal((call.type, call.name), ("custom_tool_call", "apply_patch"))
        turns += [*answer.output, {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "done"}]
        answer = OPENAI.responses.create(model=f"{provider}/sim-1", input=turns, tools=[tool])
        equal(answer.output_text, "The tool answered: done")


@check
def responses_bytes_are_valid(provider):
    adapter = TypeAdapter(Response)
    for extra in [{}, {"tools": [RESPONSES_TOOL]}, {"max_output_tokens": 3}, {"reasoning": {"effort": "low", "summary": "auto"}}]:
        for model in ["sim-1", "sim-think", "sim-no-usage"]:
            status, text = raw("/v1/responses", {"model": f"{provider}/{model}", "input": ASK_TWO, **extra})
            equal(status, 200)
            adapter.validate_json(text, strict=True)


@check
def responses_events_are_valid(provider):
    adapter = TypeAdapter(ResponseStreamEvent)
    for extra in [{}, {"tools": [RESPONSES_TOOL]}, {"reasoning": {"effort": "low", "summary": "auto"}}]:
        for model in ["sim-1", "sim-think", "sim-drip", "sim-stream-cut"]:
            status, text = raw("/v1/responses", {"model": f"{provider}/{model}", "input": ASK_TWO, "stream": True, **extra})
            equal(status, 200)
            numbers = []
            for line in data_lines(text):
                adapter.validate_json(line, strict=True)
                numbers.append(json.loads(line)["sequence_number"])
            equal(numbers[:5], list(range(5)))


@check
def responses_errors_are_the_right_exceptions(provider):
    cases = [
        ("sim-error-400", openai.BadRequestError),
        ("sim-error-429", openai.RateLimitError),
        ("sim-error-529", openai.InternalServerError),
        ("sim-stream-error", openai.InternalServerError),
    ]
    for model, wanted in cases:
        for stream in [False, True]:
            try:
                OPENAI.responses.create(model=f"{provider}/{model}", input="hi", stream=stream)
            except wanted as error:
                assert error.message and isinstance(error.body, dict), error
            else:
                raise AssertionError(f"{model} did not raise")


# --- Gemini


def google_config(**more):
    declaration = google_types.FunctionDeclaration(name="get_weather", description="The weather.", parameters_json_schema=CITY)
    return google_types.GenerateContentConfig(
        tools=[google_types.Tool(function_declarations=[declaration])],
        automatic_function_calling=google_types.AutomaticFunctionCallingConfig(disable=True), **more,
    )


def google_turns(model, config, ask, stream):
    """A tool loop: the parts of the model's turn, and the last answer."""
    contents = [google_types.Content(role="user", parts=[google_types.Part(text=ask)])]
    if stream:
        chunks = GOOGLE.models.generate_content_stream(model=model, contents=contents, config=config)
        said = [part for chunk in chunks for part in chunk.candidates[0].content.parts or []]
    else:
        said = GOOGLE.models.generate_content(model=model, contents=contents, config=config).candidates[0].content.parts
    results = []
    for part in said:
        if part.function_call:
            result = google_types.Part.from_function_response(name=part.function_call.name, response={"output": "sun in " + part.function_call.args["city"]})
            result.function_response.id = part.function_call.id
            results.append(result)
    contents += [google_types.Content(role="model", parts=said), google_types.Content(role="user", parts=results)]
    return said, GOOGLE.models.generate_content(model=model, contents=contents, config=config)


@check
def gemini_answers(provider):
    config = google_types.GenerateContentConfig(system_instruction="be brief")
    answer = GOOGLE.models.generate_content(model=f"{provider}/sim-1", contents="one two three", config=config)
    equal((answer.text, answer.candidates[0].finish_reason.value), ("You said: one two three", "STOP"))
    usage = answer.usage_metadata
    equal((usage.prompt_token_count, usage.candidates_token_count, usage.total_token_count), (5, 5, 10))


@check
def gemini_streams(provider):
    chunks = list(GOOGLE.models.generate_content_stream(model=f"{provider}/sim-drip", contents="héllo 👋"))
    equal("".join(chunk.text or "" for chunk in chunks), "You said: héllo 👋")
    equal((chunks[-1].candidates[0].finish_reason.value, chunks[-1].usage_metadata.candidates_token_count), ("STOP", 4))


@check
def gemini_tool_loop_with_parallel_calls(provider):
    for stream in [False, True]:
        said, answer = google_turns(f"{provider}/sim-1", google_config(), ASK_TWO, stream)
        equal([part.function_call.args for part in said if part.function_call], [{"city": "Paris"}, {"city": "Rome"}])
        assert "sun in Paris" in answer.text and "sun in Rome" in answer.text, answer.text


@check
def gemini_thinking_survives_a_tool_loop(provider):
    config = google_config(thinking_config=google_types.ThinkingConfig(include_thoughts=True, thinking_budget=2048))
    for stream in [False, True]:
        said, answer = google_turns(f"{provider}/sim-think", config, "use get_weather for Oslo", stream)
        thought = "".join(part.text for part in said if part.thought and part.text)
        equal(thought, "Let me think about this: use get_weather for Oslo")
        assert "sun in Oslo" in answer.text, answer.text


@check
def gemini_structured_output(provider):
    class Trip(BaseModel):
        city: str
        days: int

    config = google_types.GenerateContentConfig(response_mime_type="application/json", response_schema=Trip)
    answer = GOOGLE.models.generate_content(model=f"{provider}/sim-1", contents="to Rome for 3 days", config=config)
    equal(answer.parsed, Trip(city="Rome", days=3))


@check
def gemini_counts_and_lists(provider):
    count = GOOGLE.models.count_tokens(model=f"{provider}/sim-1", contents="one two three").total_tokens
    assert 3 <= count <= 20, count
    names = [model.name for model in GOOGLE.models.list(config={"query_base": True})]
    assert f"models/{provider}/sim-1" in names, names
    equal(GOOGLE.models.get(model=f"{provider}/sim-1").name, f"models/{provider}/sim-1")


@check
def gemini_errors_are_the_right_exceptions(provider):
    cases = [
        ("sim-error-400", google.genai.errors.ClientError, 400),
        ("sim-error-429", google.genai.errors.ClientError, 429),
        ("sim-error-500", google.genai.errors.ServerError, None),
        ("sim-stream-error", google.genai.errors.ServerError, None),
    ]
    for model, wanted, status in cases:
        for stream in [False, True]:
            try:
                if stream:
                    list(GOOGLE.models.generate_content_stream(model=f"{provider}/{model}", contents="hi"))
                else:
                    GOOGLE.models.generate_content(model=f"{provider}/{model}", contents="hi")
            except wanted as error:
                assert error.message and error.status and status in (None, error.code), error
            else:
                raise AssertionError(f"{model} did not raise")


# --- What does not depend on the provider's format


@check
def wrong_keys_and_models_raise(provider):
    for client, error in [
        (openai.OpenAI(base_url=URL + "/v1", api_key="wrong", max_retries=2), openai.AuthenticationError),
        (anthropic.Anthropic(base_url=URL, api_key="wrong", max_retries=2), anthropic.AuthenticationError),
    ]:
        try:
            client.models.list()
        except error:
            continue
        raise AssertionError(f"no {error}")
    try:
        OPENAI.chat.completions.create(model=f"{provider}x/none", messages=user("hi"))
    except openai.NotFoundError as error:
        equal(error.code, "model_not_found")
    try:
        ANTHROPIC.messages.create(model=f"{provider}x/none", max_tokens=9, messages=user("hi"))
    except anthropic.NotFoundError:
        return
    raise AssertionError("no NotFoundError")


@check
def models_are_listed(provider):
    if provider != "simulator":
        return
    ids = [model.id for model in OPENAI.models.list()]
    assert any(name.startswith(provider + "/") for name in ids), ids
    one = OPENAI.models.with_raw_response.retrieve(next(name for name in ids if name.startswith(provider + "/")))
    TypeAdapter(Model).validate_json(one.text if isinstance(one.text, str) else one.text(), strict=True)
    ids = [model.id for model in ANTHROPIC.models.list()]
    assert any(name.startswith(provider + "/") for name in ids), ids


@check
def embeddings_and_completions(provider):
    if provider != "simulator":
        return
    plain = OPENAI.embeddings.create(model="simulator/sim-embed", input=["a b", "c"], encoding_format="float")
    coded = OPENAI.embeddings.create(model="simulator/sim-embed", input=["a b", "c"])
    equal(plain.data[0].embedding, coded.data[0].embedding)
    equal(plain.usage.prompt_tokens, 3)
    status, text = raw("/v1/embeddings", {"model": "simulator/sim-embed", "input": "a", "encoding_format": "float"})
    TypeAdapter(CreateEmbeddingResponse).validate_json(text, strict=True)
    status, text = raw("/v1/embeddings", {"model": "simulator/sim-embed", "input": "a", "encoding_format": "base64"})
    packed = base64.b64decode(json.loads(text)["data"][0]["embedding"])
    equal(len(struct.unpack("<8f", packed)), 8)
    status, text = raw("/v1/completions", {"model": "simulator/sim-1", "prompt": "one"})
    equal(status, 200)
    TypeAdapter(Completion).validate_json(text, strict=True)


def main():
    passed = failed = 0
    for function in CHECKS:
        for provider in PROVIDERS:
            name = f"python {function.__name__} [{provider}]"
            try:
                function(provider)
            except Exception as error:  # noqa: BLE001 - any failure is a result
                failed += 1
                where = traceback.extract_tb(error.__traceback__)[1 if len(traceback.extract_tb(error.__traceback__)) > 1 else 0]
                print(f"FAIL {name}: line {where.lineno}: {type(error).__name__}: {' | '.join(str(error).splitlines())[:1500]}")
            else:
                passed += 1
                print(f"pass {name}")
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


main()
