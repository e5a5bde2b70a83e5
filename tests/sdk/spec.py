"""Translated requests against the vendors' own machine-readable definitions.

The first argument is a directory with one `<format>.jsonl` per format, each line `{"id", "body"}`: what
the recorded requests of every other format became. OpenAI's and Anthropic's are checked against the
types of their SDKs, Gemini's against google-genai's (which forbid unknown members), Converse's against
botocore's service model. Prints one line a format, every failure, and a closing `N passed, N failed`.
"""

import base64
import json
import sys
from collections.abc import Iterator
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


def chat():
    from openai.types.chat import completion_create_params as params

    whole, streamed = typed(params.CompletionCreateParamsNonStreaming), typed(params.CompletionCreateParamsStreaming)
    return lambda body: (streamed if body.get("stream") else whole)(body)


def responses():
    from openai.types.responses import response_create_params as params

    whole, streamed = typed(params.ResponseCreateParamsNonStreaming), typed(params.ResponseCreateParamsStreaming)
    return lambda body: (streamed if body.get("stream") else whole)(body)


def messages():
    from anthropic.types import message_create_params as params

    whole, streamed = typed(params.MessageCreateParamsNonStreaming), typed(params.MessageCreateParamsStreaming)
    return lambda body: (streamed if body.get("stream") else whole)(body)


def gemini():
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


def converse():
    import botocore.session
    from botocore.validate import ParamValidator

    model = botocore.session.get_session().get_service_model("bedrock-runtime")
    shape = model.operation_model("Converse").input_shape
    validator = ParamValidator()

    def blobs(value, shape):
        """Base64 as bytes, where the model has bytes."""
        if shape.type_name == "blob":
            return base64.b64decode(value, validate=True)
        if shape.type_name == "structure" and isinstance(value, dict) and not getattr(shape, "is_document_type", False):
            return {name: blobs(member, shape.members[name]) if name in shape.members else member for name, member in value.items()}
        if shape.type_name == "list" and isinstance(value, list):
            return [blobs(item, shape.member) for item in value]
        return value

    def check(body):
        report = validator.validate({"modelId": "m", **blobs(body, shape)}, shape)
        if report.has_errors():
            raise ValueError(report.generate_report())

    return check


FORMATS = {"chat": chat, "responses": responses, "messages": messages, "gemini": gemini, "converse": converse}


def main():
    passed = failed = 0
    for path in sorted(Path(sys.argv[1]).glob("*.jsonl")):
        if path.stem not in FORMATS:
            continue
        check = FORMATS[path.stem]()
        before = failed
        count = 0
        for line in path.read_text().splitlines():
            request = json.loads(line)
            count += 1
            try:
                check(request["body"])
            except Exception as error:  # noqa: BLE001 - any failure is a result
                failed += 1
                print(f"FAIL {path.stem} {request['id']}: {' | '.join(str(error).splitlines())[:400]}")
        passed += count - (failed - before)
        print(f"{path.stem}: {count - (failed - before)}/{count} valid")
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0 or passed == 0)


main()
