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
        # A word of its configuration, which the SDK writes here.
        "serviceTier": types.ServiceTier,
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

    adapter, tier = TypeAdapter(types.GenerateContentResponse), TypeAdapter(types.ServiceTier)

    def check(body):
        # Google sends it, and the types do not have it.
        usage = dict(body.get("usageMetadata", {}))
        if "serviceTier" in usage:
            tier.validate_python(usage.pop("serviceTier"), strict=False)
            body = {**body, "usageMetadata": usage}
        adapter.validate_json(json.dumps(body))

    return check


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


# What fails, and why it may: file, the end of an exchange's id, reason.
BLACKED_OUT = "the recorder blacked out a part of the document"
NUMBERS = "the client asked for numbers in the place of words"
NO_PLACE = "xAI's citations have no place in the text, and stay as they are in their own format"
EARLIER = "Anthropic's own block, from before the types demanded more of it"
OWN_ITEM = "the provider's own item, other than the types have it, which stays as it is in its own format"
EXCEPTIONS = {
    ("request.converse", "26d306458f7b"): BLACKED_OUT,
    ("request.converse", "a6e280efe609"): BLACKED_OUT,
    ("request.converse", "b8e107f6bc47"): BLACKED_OUT,
    ("request.converse", "2c42135656f0"): BLACKED_OUT,
    ("request.converse", "eaa759729ad4"): BLACKED_OUT,
    ("answer.gemini", "e988ca9d6d12"): NUMBERS,
    ("stream.gemini", "2ce7c88472b1"): NUMBERS,
    ("stream.gemini", "c009fbceeaef"): NUMBERS,
    ("answer.responses", "1f34cf75e3ad"): NO_PLACE,
    ("answer.responses", "bf32ee2137fe"): NO_PLACE,
    ("stream.responses", "1354ee3c19f0"): NO_PLACE,
    ("stream.messages", "99839430c8e1"): EARLIER,
    ("answer.responses", "1df72d5e33e9"): OWN_ITEM,
    ("answer.responses", "d5835a3098f8"): OWN_ITEM,
    ("answer.responses", "ce497a348ce7"): OWN_ITEM,
    ("answer.responses", "81c4b3e97bed"): OWN_ITEM,
    ("stream.responses", "35dd5584effa"): OWN_ITEM,
}


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
    """The number of lines, what failed, and what was excepted."""
    kind, form = path.stem.split(".")
    check, good = checker(kind, form), set()

    def events(body):
        for event in body:
            known = shape(event)
            if known not in good:
                check(event)
                good.add(known)

    count, failures, excepted = 0, [], []
    with path.open() as lines:
        for line in lines:
            exchange = json.loads(line)
            count += 1
            try:
                (events if kind == "stream" else check)(exchange["body"])
            except Exception as error:  # noqa: BLE001 - any failure is a result
                reason = EXCEPTIONS.get((path.stem, exchange["id"][-12:]))
                if reason:
                    excepted.append(f"{path.stem} {exchange['id']}: {reason}")
                else:
                    failures.append(f"{path.stem} {exchange['id']}: {' | '.join(str(error).splitlines())[:400]}")
    return path.stem, count, failures, excepted


def main():
    paths = [path for path in sorted(Path(sys.argv[1]).glob("*.jsonl")) if path.stem.split(".")[1] in KINDS[path.stem.split(".")[0]]]
    passed = failed = 0
    with ProcessPoolExecutor(max_workers=2) as pool:
        for name, count, failures, excepted in pool.map(run, paths):
            for line in [f"FAIL {failure}" for failure in failures] + [f"except {line}" for line in excepted]:
                print(line)
            good = count - len(failures) - len(excepted)
            print(f"{name}: {good}/{count} valid")
            passed, failed = passed + good, failed + len(failures)
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0 or passed == 0)


if __name__ == "__main__":
    main()
