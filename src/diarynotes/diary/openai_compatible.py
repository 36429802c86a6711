"""Writes with any model behind OpenAI's chat completions: OpenAI, Mistral, Ollama, vLLM, llama.cpp's server and others.

Knows the wire format and what servers differ in; knows no prompts, no prices and no other writer. Chat completions
rather than the newer responses, because every one of these servers has them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from diarynotes.diary.api_errors import sort_status
from diarynotes.diary.api_writer import NO_KEY, ApiWriter
from diarynotes.diary.language_model import Reply, Shape
from diarynotes.diary.note_shape import schema_of
from diarynotes.diary.prompt import Message
from diarynotes.diary.prompt_choice import PromptName
from diarynotes.diary.remedies import failure
from diarynotes.models import Usage

_OPENAI = "api.openai.com"
_PROVIDERS = MappingProxyType(
    {
        _OPENAI: "openai",
        "api.mistral.ai": "mistral",
        "api.groq.com": "groq",
        "api.deepseek.com": "deepseek",
        "openrouter.ai": "openrouter",
        "api.together.xyz": "together",
        "api.fireworks.ai": "fireworks",
        "api.cerebras.ai": "cerebras",
        "api.x.ai": "x-ai",
    }
)
"""The names by which genai-prices knows those who sell tokens at these hosts."""


@dataclass(frozen=True, slots=True)
class _Dialect:
    """How a server wants to be asked; it changes when the server refuses a way that it does not know."""

    format: Literal["json_schema", "json_object", "text"] = "json_schema"
    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    temperature: float | None = None


class _Chunk(BaseModel):
    type: str = "text"
    text: str = ""


class _Told(BaseModel):
    refusal: str | None = None
    content: str | list[_Chunk] | None = None

    @property
    def text(self) -> str:
        """What was said; Mistral's reasoning models say it in chunks, their thoughts among them."""
        if isinstance(self.content, list):
            return "".join(chunk.text for chunk in self.content if chunk.type == "text")
        return self.content or ""


class _Choice(BaseModel):
    message: _Told
    finish_reason: str | None = None


class _Cached(BaseModel):
    cached_tokens: int | None = None


class _Tokens(BaseModel):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Cached | None = None


class _Fault(BaseModel):
    code: int | str | None = None


class _Completion(BaseModel):
    """The part of an answer that counts; servers leave out or add whatever else they like."""

    choices: list[_Choice] = []
    usage: _Tokens | None = None
    error: _Fault | None = None


class Backend(ApiWriter[_Dialect]):
    """A writer behind an OpenAI-compatible address.

    `base_url` includes the version (`https://api.mistral.ai/v1`); by default it is OpenAI's own. `local` says whether
    the server is the owner's own, where the address does not show it. `timeout_s` bounds each call in total, where its
    answer may have 1,500 tokens; a longer one may take as much longer.
    `context_tokens` is the model's window: 128,000 by default, 4,096 for a local server. `provider` is the name that
    prices are looked up by, `name` the one that failures and notes are reported under. `temperature` is left to the
    server by default. `prompt` fixes the prompt; by default each transcript's shape chooses it. It is reached
    through `proxy` where one is named; `ca_file` has certificates of who may vouch for it besides the public ones.

    Raises: BadSettings for an address, key, prompt or window that cannot work.
    """

    vendor_url = "https://api.openai.com/v1"

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
        temperature: float | None = None,
        proxy: str | None = None,
        ca_file: str | None = None,
        name: str = "openai_compatible",
    ) -> None:
        super().__init__(
            model,
            _Dialect(temperature=temperature),
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
        self._is_openai = self.address.host == _OPENAI
        if self._is_openai:
            self._dialect = replace(self._dialect, limit="max_completion_tokens")

    def open_client(self, **common: Any) -> Any:
        """OpenAI's client; empty is not None, so it looks for no organisation, project or key of its own."""
        from openai import OpenAI

        return OpenAI(api_key=NO_KEY, admin_api_key="", organization="", project="", webhook_secret="", **common)

    def name_provider(self, host: str) -> str:
        """The seller at a known host; any other host is its own name and has no price."""
        return _PROVIDERS.get(host, host)

    def request(
        self, dialect: _Dialect, messages: Sequence[Message], shape: Shape, output_tokens: int
    ) -> dict[str, Any]:
        """A chat completion in the dialect; where the server takes no schema, the rules end with it."""
        turns = [{"role": message.role, "content": message.text} for message in messages]
        schema = schema_of(shape)
        request: dict[str, Any] = {"model": self.model, "messages": turns, dialect.limit: output_tokens}
        if dialect.format == "json_schema":
            wanted = {"name": shape.__name__, "strict": True, "schema": schema}
            request["response_format"] = {"type": "json_schema", "json_schema": wanted}
        else:
            turns[0]["content"] += f"\nAnswer with one JSON object and nothing else. Its schema:\n{json.dumps(schema)}"
        if dialect.format == "json_object":  # llama-cpp-python's server, Fireworks and Together take the schema here
            request["response_format"] = {"type": "json_object", "schema": schema}
        if dialect.temperature is not None:
            request["temperature"] = dialect.temperature
        if self._is_openai:
            request["store"] = False  # else an account's own setting decides whether OpenAI keeps the diary
        return request

    def create(self, request: dict[str, Any]) -> bytes:
        """Posts a chat completion."""
        body: bytes = self._client.chat.completions.with_raw_response.create(**request).http_response.content
        return body

    def read(self, body: bytes) -> Reply:
        """The first choice; an answer that was refused or cut off is none."""
        completion = self._parse(body)
        usage = self._usage(completion.usage)
        if completion.error:  # OpenRouter and other gateways tell of failures behind them with status 200
            status = completion.error.code if isinstance(completion.error.code, int) else 502
            raise failure(self.name, sort_status(status, body.decode(errors="replace")), detail=f"code {status}")
        if not completion.choices:
            raise failure(self.name, "bad_output", detail="it holds no choice", usage=(usage,))
        choice = completion.choices[0]
        if choice.message.refusal or choice.finish_reason == "content_filter":
            raise failure(self.name, "refusal", usage=(usage,))
        if choice.finish_reason == "model_length":  # Mistral: the window is full
            raise failure(self.name, "context_too_long", usage=(usage,))
        if choice.finish_reason == "length":
            raise self.cut(usage)
        return Reply(choice.message.text, usage)

    def plainer(self, dialect: _Dialect, words: str) -> _Dialect | None:
        """Without temperature, with the other name of the limit, or with less of a schema, as the refusal says."""
        if dialect.temperature is not None and "temperature" in words:
            return replace(dialect, temperature=None)
        if dialect.limit == "max_tokens" and "max_completion_tokens" in words:
            return replace(dialect, limit="max_completion_tokens")
        if any(sign in words for sign in ("response_format", "json_schema", "json_object", "schema", "grammar")):
            if dialect.format == "json_schema":
                return replace(dialect, format="json_object")
            if dialect.format == "json_object":
                return replace(dialect, format="text")
        return None

    def _parse(self, body: bytes) -> _Completion:
        try:
            return _Completion.model_validate_json(body)
        except ValidationError:
            pass
        # outside of the handler: what pydantic raised holds the answer
        raise self.misread(body, "chat completion")

    def _usage(self, tokens: _Tokens | None) -> Usage:
        told = tokens or _Tokens()
        cached = (told.prompt_tokens_details or _Cached()).cached_tokens or 0
        counts = (told.prompt_tokens or 0, told.completion_tokens or 0)
        return Usage(self.provider, self.model, *counts, cached_tokens=cached)
