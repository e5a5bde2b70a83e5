"""Translated requests and answers against the vendors' own machine-readable definitions.

The first argument is a directory with what the recorded traffic became: `request.<format>.jsonl` (each
line `{"id", "body"}`), `answer.<format>.jsonl` the same, and `stream.<format>.jsonl` with the list of a
stream's events as body. OpenAI's and Anthropic's are checked against the types of their SDKs, Gemini's
against google-genai's (which forbid unknown members), Converse's against botocore's service model,
Cohere's against its SDK's. Answers are checked strictly: no value passes for one of another type.

Of a stream's events those of a shape that was found good are not checked again: they differ in text
only. Prints one line a file, every failure, and a closing `N passed, N failed`.
"""

import base64
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter


def forced(value):
    """Lists of the SDKs' types are validated as they are read: reads them all."""
    if isinstance(value, dict):
        return {name: forced(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)) or isinstance(value, Iterator):
        return [forced(item) for item in value]
    return value


def typed(kind):
    adapter = TypeAdapter(kind)
    return lambda body: forced(adapter.validate_python(body))


def strict(kind):
    adapter = TypeAdapter(kind)
    return lambda body: adapter.validate_json(json.dumps(body), strict=True)


def either(whole, streamed):
    whole, streamed = typed(whole), typed(streamed)
    return lambda body: (streamed if body.get("stream") else whole)(body)


def chat_request():
    from openai.types.chat import completion_create_params as params

    return either(params.CompletionCreateParamsNonStreaming, params.CompletionCreateParamsStreaming)


def responses_request():
    from openai.types.responses import response_create_params as params

    return either(params.ResponseCreateParamsNonStreaming, params.ResponseCreateParamsStreaming)


def messages_request():
    from anthropic.types import message_create_params as params

    return either(params.MessageCreateParamsNonStreaming, params.MessageCreateParamsStreaming)


def gemini_request():
    from google.genai import types

    members = {
        "contents": list[types.Content],
        "systemInstruction": types.Content,
        "tools": list[types.Tool],
        "toolConfig": types.ToolConfig,
        "safetySettings": list[types.SafetySetting],
        "generationConfig": types.GenerationConfig,
        "cachedContent": str,
    }
    adapters = {name: TypeAdapter(kind) for name, kind in members.items()}

    def check(body):
        for name, value in body.items():
            if name not in adapters:
                raise ValueError(f"unknown member {name}")
            adapters[name].validate_json(json.dumps(value))

    return check


def converse_request():
    import botocore.session
    from botocore.validate import ParamValidator

    model = botocore.session.get_session().get_service_model("bedrock-runtime")
    shape = model.operation_model("Converse").input_shape
    validator = ParamValidator()

    def members(value, shape):
        for name, member in value.items():
            if name not in shape.members:
                raise ValueError(f"unknown member {name} of {shape.name}")
            yield name, blobs(member, shape.members[name])

    def blobs(value, shape):
        """Base64 as bytes, where the model has bytes."""
        if shape.type_name == "blob":
            return base64.b64decode(value, validate=True)
        if shape.type_name == "structure" and isinstance(value, dict) and not getattr(shape, "is_document_type", False):
            return dict(members(value, shape))
        if shape.type_name == "list" and isinstance(value, list):
            return [blobs(item, shape.member) for item in value]
        return value

    def check(body):
        report = validator.validate({"modelId": "m", **blobs(body, shape)}, shape)
        if report.has_errors():
            raise ValueError(report.generate_report())

    return check


def chat_answer():
    from openai.types.chat import ChatCompletion

    return strict(ChatCompletion)


def chat_event():
    from openai.types.chat import ChatCompletionChunk

    return strict(ChatCompletionChunk)


def responses_answer():
    from openai.types.responses import Response

    return strict(Response)


def by_type(union, tag="type"):
    """Chooses by the tag itself: a failure is then told of the type that is meant."""
    from typing import get_args

    kinds = {}
    for kind in get_args(get_args(union)[0]):
        for word in get_args(kind.model_fields[tag].annotation):
            kinds[word] = strict(kind)
    return lambda body: kinds[body[tag]](body)


def responses_event():
    from openai.types.responses import ResponseStreamEvent

    return by_type(ResponseStreamEvent)


def messages_answer():
    from anthropic.types.beta import BetaMessage

    return strict(BetaMessage)


def messages_event():
    from anthropic.types.beta import BetaRawMessageStreamEvent

    check = by_type(BetaRawMessageStreamEvent)
    # Part of the protocol, and not of the types.
    return lambda body: None if body == {"type": "ping"} else check(body)


def gemini_answer():
    from google.genai import types

    adapter = TypeAdapter(types.GenerateContentResponse)
    return lambda body: adapter.validate_json(json.dumps(body))


REQUESTS = {
    "chat": chat_request,
    "responses": responses_request,
    "messages": messages_request,
    "gemini": gemini_request,
    "converse": converse_request,
}
ANSWERS = {
    "chat": chat_answer,
    "responses": responses_answer,
    "messages": messages_answer,
    "gemini": gemini_answer,
}
EVENTS = {"chat": chat_event, "responses": responses_event, "messages": messages_event, "gemini": gemini_answer}
KINDS = {"request": REQUESTS, "answer": ANSWERS, "stream": EVENTS}


@cache
def checker(kind, form):
    return KINDS[kind][form]()


def shape(value):
    """What a value is but for its text and numbers; words that may be tags stay."""
    if isinstance(value, dict):
        return tuple((name, value[name] if name in ("type", "object", "role") else shape(value[name])) for name in value)
    if isinstance(value, list):
        return tuple({shape(item) for item in value})
    return type(value).__name__


def run(path):
    """The number of lines, and what failed."""
    kind, form = path.stem.split(".")
    check, good = checker(kind, form), set()

    def events(body):
        for event in body:
            known = shape(event)
            if known not in good:
                check(event)
                good.add(known)

    count, failures = 0, []
    with path.open() as lines:
        for line in lines:
            exchange = json.loads(line)
            count += 1
            try:
                (events if kind == "stream" else check)(exchange["body"])
            except Exception as error:  # noqa: BLE001 - any failure is a result
                failures.append(f"{path.stem} {exchange['id']}: {' | '.join(str(error).splitlines())[:400]}")
    return path.stem, count, failures


def main():
    paths = [path for path in sorted(Path(sys.argv[1]).glob("*.jsonl")) if path.stem.split(".")[1] in KINDS[path.stem.split(".")[0]]]
    passed = failed = 0
    with ProcessPoolExecutor(max_workers=2) as pool:
        for name, count, failures in pool.map(run, paths):
            for failure in failures:
                print(f"FAIL {failure}")
            print(f"{name}: {count - len(failures)}/{count} valid")
            passed, failed = passed + count - len(failures), failed + len(failures)
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0 or passed == 0)


if __name__ == "__main__":
    main()
