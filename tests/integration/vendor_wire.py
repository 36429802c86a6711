"""The wire formats of three vendors: what each takes and refuses, how it says so, and a model that behaves.

The shapes are those of the vendors' own SDKs (openai 3, anthropic 2) and of their references: platform.openai.com
(structured outputs), platform.claude.com (structured outputs), docs.mistral.ai (chat completions).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from anthropic._constants import ANTHROPIC_API_VERSION

from tests.integration.vendor_server import NOTE, Answer, Seen, anthropic_says, as_json, openai_says

KEY = "sk-very-secret-1234567890"
_OPENAI_FIELDS = frozenset(
    "audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens max_tokens messages "
    "metadata modalities model moderation n parallel_tool_calls prediction presence_penalty prompt_cache_key "
    "prompt_cache_options prompt_cache_retention reasoning_effort response_format safety_identifier seed service_tier "
    "stop store stream stream_options temperature tool_choice tools top_logprobs top_p user verbosity "
    "web_search_options".split()
)
_ANTHROPIC_FIELDS = frozenset(
    "cache_control container diagnostics inference_geo max_tokens messages metadata model output_config service_tier "
    "speed stop_sequences stream system thinking tool_choice tools user_profile_id workspace_id".split()
)
_MISTRAL_FIELDS = frozenset(
    "model temperature top_p max_tokens stream stop random_seed messages response_format tools tool_choice "
    "presence_penalty frequency_penalty n prediction parallel_tool_calls prompt_mode safe_prompt metadata "
    "reasoning_effort guardrails".split()
)
_OPENAI_WORDS = frozenset(
    "type properties required additionalProperties items enum const anyOf description title $defs $ref pattern format "
    "multipleOf maximum exclusiveMaximum minimum exclusiveMinimum minItems maxItems".split()
)
_ANTHROPIC_WORDS = frozenset(
    "type properties required additionalProperties items enum const anyOf allOf description title $defs $ref format "
    "minItems".split()
)
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class Wire:
    """One vendor's HTTP: where it is, what it refuses (`find_fault`: a message and its status), how it answers."""

    name: str
    host: str
    find_fault: Callable[[Seen], tuple[int, str] | None]
    refuse: Callable[..., Answer]
    says: Callable[..., Answer]

    def strictly(self, answer: Answer | Callable[[Seen], Answer]) -> Callable[[Seen], Answer]:
        """The answer, for who asks as the vendor wants to be asked."""

        def respond(seen: Seen) -> Answer:
            fault = self.find_fault(seen)
            if fault:
                return self.refuse(*fault)
            return answer if isinstance(answer, Answer) else answer(seen)

        return respond

    def behave(self, seen: Seen) -> Answer:
        """A model that writes down every line it is shown, and counts its tokens."""
        return self.speak(seen, write_down(seen))

    def speak(self, seen: Seen, content: Any, **options: Any) -> Answer:
        """An answer that tells how much was read and written."""
        return self.says(content, tokens=count_tokens(seen, content), **options)


# -- a model that behaves ---------------------------------------------------------------------------------------------


def conversation(seen: Seen) -> list[str]:
    """What the user and the model have said to one another."""
    return [turn["content"] for turn in seen.body["messages"] if turn["role"] != "system"]


def write_down(seen: Seen) -> dict[str, Any]:
    """The note of a model that copies: a sentence for each line that it is shown, the first one for title and summary.

    Of parts it sums up the first.
    """
    asked = conversation(seen)[0]
    if "<parts>" in asked:
        first = json.loads(asked.split("<parts>\n")[1].splitlines()[0])
        return {"title": first["title"], "summary": first["summary"], "mood": NOTE["mood"]}
    spoken = asked.split("<transcript>\n")[1].split("\n</transcript>")[0].splitlines()
    body = [{"text": text, "segments": [int(number)]} for number, text in (line.split(" | ", 1) for line in spoken)]
    empty: dict[str, Any] = {"people": [], "todos": [], "topics": []}
    return NOTE | empty | {"body": body, "title": body[0]["text"][:200], "summary": body[0]["text"]}


def count_tokens(seen: Seen, content: Any) -> tuple[int, int, int]:
    """Tokens read, written and from a cache: four letters each, the shape that is asked for among them."""
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    return len(json.dumps(seen.body, ensure_ascii=False)) // 4, len(text) // 4 + 1, 0


# -- what the vendors refuse ------------------------------------------------------------------------------------------


def _check_openai(seen: Seen) -> tuple[int, str] | None:
    body: Mapping[str, Any] = seen.body
    form = body.get("response_format", {})
    if seen.path != "/v1/chat/completions":
        return 404, f"Invalid URL (POST {seen.path})"
    if not _has_key(seen):
        return 401, "Incorrect API key provided"
    for field in sorted(body.keys() - _OPENAI_FIELDS):
        return 400, f"Unrecognized request argument supplied: {field}"
    if "max_tokens" in body:
        return 400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    if body.get("temperature", 1) != 1:
        return 400, "Unsupported value: 'temperature' does not support this value; only the default is supported."
    if fault := _check_turns(body, {"system", "developer", "user", "assistant", "tool"}, {"role", "content", "name"}):
        return 400, fault
    if form.get("type") == "json_schema":
        return _check_named_schema(form, _OPENAI_WORDS)
    strangers = form.keys() - {"type"}
    return (400, f"Unknown parameter: 'response_format.{min(strangers)}'.") if strangers else None


def _check_anthropic(seen: Seen) -> tuple[int, str] | None:
    body: Mapping[str, Any] = seen.body
    if seen.path != "/v1/messages":
        return 404, "Not found"
    if not _has_key(seen) and seen.headers.get("x-api-key") != KEY:
        return 401, "invalid x-api-key"
    if seen.headers.get("anthropic-version") != ANTHROPIC_API_VERSION:
        return 400, "anthropic-version: header is required"
    for field in sorted(body.keys() - _ANTHROPIC_FIELDS):
        return 400, f"{field}: Extra inputs are not permitted"
    if not isinstance(body.get("max_tokens"), int) or body["max_tokens"] < 1:
        return 400, "max_tokens: Field required"
    if "system" in body and not body["system"].strip():
        return 400, "system: text content blocks must be non-empty"
    if fault := _check_turns(body, {"user", "assistant"}, {"role", "content"}):
        return 400, fault
    if body["messages"][0]["role"] != "user":
        return 400, "messages: first message must use the user role"
    if body["messages"][-1]["role"] != "user":
        return 400, "This model does not support assistant message prefill."
    form = body.get("output_config", {}).get("format")
    if form is None:
        return None
    if form.keys() != {"type", "schema"} or form["type"] != "json_schema":
        return 400, "output_config.format: Extra inputs are not permitted"
    fault = _check_schema(form["schema"], _ANTHROPIC_WORDS)
    return (400, f"output_config.format.schema: {fault}") if fault else None


def _check_mistral(seen: Seen) -> tuple[int, str] | None:
    body: Mapping[str, Any] = seen.body
    form = body.get("response_format", {})
    if seen.path != "/v1/chat/completions":
        return 404, "no Route matched with those values"
    if not _has_key(seen):
        return 401, "Unauthorized"
    for field in sorted(body.keys() - _MISTRAL_FIELDS):
        return 422, f"extra_forbidden: body.{field}: Extra inputs are not permitted"
    if fault := _check_turns(body, {"system", "user", "assistant", "tool"}, {"role", "content"}):
        return 422, fault
    if body["messages"][-1]["role"] not in ("user", "tool"):
        return 400, "Expected last role User or Tool (or Assistant with prefix True) for serving"
    if strangers := form.keys() - {"type", "json_schema"}:
        return 422, f"extra_forbidden: body.response_format.{min(strangers)}: Extra inputs are not permitted"
    return _check_named_schema(form, _OPENAI_WORDS) if form.get("type") == "json_schema" else None


def _has_key(seen: Seen) -> bool:
    return seen.headers.get("authorization") == f"Bearer {KEY}"


def _check_turns(body: Mapping[str, Any], roles: set[str], fields: set[str]) -> str | None:
    if not body.get("model") or not body.get("messages"):
        return "model, messages: Field required"
    for place, turn in enumerate(body["messages"]):
        if turn["role"] not in roles:
            return f"messages.{place}.role: must be one of {sorted(roles)}"
        if strangers := turn.keys() - fields:
            return f"extra_forbidden: messages.{place}.{min(strangers)}: Extra inputs are not permitted"
        if not isinstance(turn["content"], str) or not turn["content"].strip():
            return f"messages.{place}: text content blocks must be non-empty"
    return None


def _check_named_schema(form: Mapping[str, Any], words: frozenset[str]) -> tuple[int, str] | None:
    named = form.get("json_schema", {})
    if not _NAME.fullmatch(named.get("name", "")) or named.keys() - {"name", "description", "schema", "strict"}:
        return 400, "Invalid 'response_format.json_schema'"
    fault = _check_schema(named["schema"], words) if named.get("strict") else None
    return (400, f"Invalid schema for response_format '{named['name']}': {fault}") if fault else None


def _check_schema(schema: Mapping[str, Any], words: frozenset[str]) -> str | None:
    """What is wrong with a schema by the rules that the vendors share; None where nothing is."""
    if schema.get("type") != "object":
        return "schema must be of type object"
    for depth, part in _walk(schema, 1):
        if strangers := part.keys() - words:
            return f"'{min(strangers)}' is not permitted"
        if depth > 10:
            return "nested too deeply"
        if not part.keys() & {"type", "anyOf", "allOf", "enum", "const", "$ref"}:
            return "a schema must have a 'type'"
        if part.get("type") == "object" and part.get("additionalProperties") is not False:
            return "'additionalProperties' is required to be supplied and to be false"
        if set(part.get("properties", ())) != set(part.get("required", ())):
            return "'required' is required to hold every key in properties"
    return None


def _walk(schema: Mapping[str, Any], depth: int) -> Iterator[tuple[int, Mapping[str, Any]]]:
    yield depth, schema
    for part in (*schema.get("properties", {}).values(), *schema.get("$defs", {}).values()):
        yield from _walk(part, depth + 1)
    for part in (*schema.get("anyOf", ()), *schema.get("allOf", ())):
        yield from _walk(part, depth)
    if "items" in schema:
        yield from _walk(schema["items"], depth)


# -- how they say it --------------------------------------------------------------------------------------------------

_ANTHROPIC_TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
    404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error", 500: "api_error",
    504: "timeout_error", 529: "overloaded_error",
}  # fmt: skip


def _openai_refuses(status: int, message: str, code: str | None = None, **headers: str) -> Answer:
    kind = "invalid_request_error" if status < 429 else "requests" if status == 429 else "server_error"
    return as_json({"error": {"message": message, "type": kind, "param": None, "code": code}}, status, **headers)


def _anthropic_refuses(status: int, message: str, code: str | None = None, **headers: str) -> Answer:
    error = {"type": code or _ANTHROPIC_TYPES.get(status, "api_error"), "message": message}
    return as_json({"type": "error", "error": error, "request_id": "req_1"}, status, **headers)


def _mistral_refuses(status: int, message: str, code: str | None = None, **headers: str) -> Answer:
    if status == 401:
        return as_json({"detail": message}, status, **headers)
    told = {"detail": [{"type": "extra_forbidden", "msg": message}]} if status == 422 else message
    body = {"object": "error", "message": told, "type": "invalid_request_error", "param": None, "code": code}
    return as_json(body, status, **headers)


WIRES = {
    "openai": Wire("openai", "api.openai.com", _check_openai, _openai_refuses, openai_says),
    "anthropic": Wire("anthropic", "api.anthropic.com", _check_anthropic, _anthropic_refuses, anthropic_says),
    "mistral": Wire("mistral", "api.mistral.ai", _check_mistral, _mistral_refuses, openai_says),
}
