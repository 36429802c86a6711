"""Writes with a model behind Anthropic's messages: Claude, or a server that speaks the same.

Knows the wire format; knows no prompts, no prices and no other writer.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from diarynotes.diary.api_writer import NO_KEY, ApiWriter
from diarynotes.diary.language_model import Reply, Shape
from diarynotes.diary.note_shape import schema_of
from diarynotes.diary.prompt import Message
from diarynotes.diary.prompt_choice import PromptName
from diarynotes.diary.remedies import failure
from diarynotes.models import Usage

_TOOL = "write"
Format = Literal["json_schema", "tool", "text"]


class _Block(BaseModel):
    type: str
    text: str = ""
    input: Any = None


class _Tokens(BaseModel):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None


class _Answer(BaseModel):
    """The part of an answer that counts."""

    content: list[_Block]
    stop_reason: str | None = None
    usage: _Tokens | None = None


class Backend(ApiWriter[Format]):
    """A writer behind Anthropic's messages API.

    `base_url` is without the version; by default it is Anthropic's own. The other arguments are as those of
    `openai_compatible.Backend`. There is no temperature: the SDK's current models do not take one.

    Raises: BadSettings for an address, key, prompt or window that cannot work.
    """

    vendor_url = "https://api.anthropic.com"

    def __init__(
        self,
        model: str,
        *,
        api_key: str | None,
        base_url: str | None = None,
        timeout_s: float = 60.0,
        local: bool | None = None,
        context_tokens: int | None = None,
        max_output_tokens: int | None = None,
        prompt: PromptName | None = None,
        provider: str | None = None,
        proxy: str | None = None,
        ca_file: str | None = None,
        name: str = "anthropic",
    ) -> None:
        super().__init__(
            model,
            "json_schema",
            api_key=api_key,
            base_url=base_url,
            timeout_s=timeout_s,
            local=local,
            context_tokens=context_tokens,
            max_output_tokens=max_output_tokens,
            prompt=prompt,
            provider=provider,
            proxy=proxy,
            ca_file=ca_file,
            name=name,
        )

    def open_client(self, **common: Any) -> Any:
        """Anthropic's client; with a key it looks for no profile on disk, and it traces nothing."""
        from anthropic import Anthropic

        return Anthropic(api_key=NO_KEY, webhook_key="", open_telemetry=False, **common)

    def name_provider(self, host: str) -> str:
        """Anthropic at its own host; any other host is its own name and has no price."""
        return "anthropic" if host == "api.anthropic.com" else host

    def request(self, dialect: Format, messages: Sequence[Message], shape: Shape, output_tokens: int) -> dict[str, Any]:
        """The rules as `system`; the shape is asked for as the output, else as a tool's input, else in words."""
        schema = schema_of(shape)
        system = "\n".join(message.text for message in messages if message.role == "system")
        turns = [{"role": message.role, "content": message.text} for message in messages if message.role != "system"]
        request: dict[str, Any] = {"model": self.model, "max_tokens": output_tokens, "messages": turns}
        if dialect == "json_schema":
            request["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
        elif dialect == "tool":
            request["tools"] = [{"name": _TOOL, "description": "Hands the answer in.", "input_schema": schema}]
            request["tool_choice"] = {"type": "tool", "name": _TOOL}
        else:
            system += f"\nAnswer with one JSON object and nothing else. Its schema:\n{json.dumps(schema)}"
        return request | {"system": system}

    def create(self, request: dict[str, Any]) -> bytes:
        """Posts a message."""
        body: bytes = self._client.messages.with_raw_response.create(**request).http_response.content
        return body

    def plainer(self, dialect: Format, words: str) -> Format | None:
        """The next plainer way to ask, where the refusal names this one."""
        if dialect == "json_schema" and any(sign in words for sign in ("output_config", "output_format", "schema")):
            return "tool"
        return "text" if dialect == "tool" and "tool" in words else None

    def read(self, body: bytes) -> Reply:
        """What was handed in or said; an answer that was refused or cut off is none."""
        answer = self._parse(body)
        usage = self._usage(answer.usage)
        if answer.stop_reason == "refusal":
            raise failure(self.name, "refusal", usage=(usage,))
        if answer.stop_reason == "model_context_window_exceeded":
            raise failure(self.name, "context_too_long", usage=(usage,))
        if answer.stop_reason == "max_tokens":
            raise self.cut(usage)
        handed_in = [json.dumps(block.input) for block in answer.content if block.type == "tool_use"]
        told = [block.text for block in answer.content if block.type == "text"]
        return Reply("".join(handed_in[:1] or told), usage)

    def _parse(self, body: bytes) -> _Answer:
        try:
            return _Answer.model_validate_json(body)
        except ValidationError:
            pass
        # outside of the handler: what pydantic raised holds the answer
        raise self.misread(body, "message")

    def _usage(self, tokens: _Tokens | None) -> Usage:
        """Anthropic counts what goes through its cache beside the input; here the input is all of it."""
        told = tokens or _Tokens()
        cached = told.cache_read_input_tokens or 0
        whole = (told.input_tokens or 0) + (told.cache_creation_input_tokens or 0) + cached
        return Usage(self.provider, self.model, whole, told.output_tokens or 0, cached_tokens=cached)
