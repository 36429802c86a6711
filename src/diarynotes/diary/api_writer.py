"""What all writers behind an API share: settings checked, calls bounded in time, refusals of a way to ask got around.

Knows no wire format; `openai_compatible` and `anthropic` do.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import date
from typing import Any, ClassVar, Generic, TypeVar

import httpx2

from diarynotes.diary.api_errors import read_told, sort_error
from diarynotes.diary.caller import Caller, DirectCaller, Line
from diarynotes.diary.language_model import (
    CLOUD_CONTEXT_TOKENS,
    LOCAL_CONTEXT_TOKENS,
    Limits,
    Reply,
    Shape,
    check_prompt,
    write_draft,
)
from diarynotes.diary.prompt import Message, prompt_version
from diarynotes.diary.prompt_choice import PromptName
from diarynotes.diary.remedies import AnswerCut, failure
from diarynotes.diary.sharing import Memo, write_drafts
from diarynotes.diary.wire import check_address, check_key, hush_clients, is_hosted, open_wire, within
from diarynotes.errors import BadSettings, WriterFailed
from diarynotes.models import Draft, Transcript, Usage

_USER_AGENT = "diarynotes"
_LOCAL_PROVIDER = "local"
"""`cost.LOCAL`: calls to our own machines cost nothing each."""

_MAY_BE_THE_WAY = ("bad_request", "misconfigured", "unavailable")
"""How a server may refuse a way of asking; llama.cpp's says 500 to some schemas."""

_TIMED_TOKENS = 1_500
"""How long an answer may be for which a call has `timeout_s`; a longer one has as much longer."""

NO_KEY = "the key is sent by the wire"
"""What an SDK is given for a key, so that it looks for none in the environment; it never leaves the machine."""

Dialect = TypeVar("Dialect")
"""How a server wants to be asked."""


class ApiWriter(ABC, Generic[Dialect]):
    """A writer behind an API; the arguments are explained at `openai_compatible.Backend`.

    Raises: BadSettings for an address, key, prompt or window that cannot work.
    """

    degraded = False
    vendor_url: ClassVar[str]

    def __init__(
        self,
        model: str,
        dialect: Dialect,
        *,
        api_key: str | None,
        base_url: str | None,
        timeout_s: float,
        local: bool | None,
        context_tokens: int | None,
        max_output_tokens: int | None,
        prompt: PromptName | None,
        provider: str | None,
        proxy: str | None,
        ca_file: str | None,
        name: str,
    ) -> None:
        key = check_key(api_key)
        check_prompt(prompt)
        if key is None and base_url is None:
            why = f"the writer {name} needs a key; set DIARYNOTES_{name.upper()}_API_KEY, or name another writer"
            raise BadSettings(f"{name}_api_key", why)
        self.model, self.name = model, name
        self.address = check_address(base_url or self.vendor_url, writer=name, local=local)
        self.prompt_version = prompt_version() + (f"-{prompt}" if prompt else "")
        window = context_tokens or (LOCAL_CONTEXT_TOKENS if self.local else CLOUD_CONTEXT_TOKENS)
        self.limits = Limits.of(window, max_output_tokens, setting=f"{name}_context_tokens")
        self.provider = provider or (_LOCAL_PROVIDER if self.local else self.name_provider(self.address.host))
        self._prompt, self._timeout_s, self._dialect = prompt, timeout_s, dialect
        self._direct = DirectCaller()
        authorization = f"Bearer {key}" if key else None
        wire = open_wire(authorization=authorization, user_agent=_USER_AGENT, proxy=proxy, ca_file=ca_file)
        patience = httpx2.Timeout(self._limit_s(self.limits.output_tokens), connect=timeout_s)
        self._client = self.open_client(base_url=self.address.url, timeout=patience, max_retries=0, http_client=wire)
        hush_clients()

    def __repr__(self) -> str:
        return f"<writer {self.name}: {self.model}>"

    @property
    def local(self) -> bool:
        """Whether what is sent stays on the owner's own machines: the server is theirs, and answers by itself."""
        return self.address.local and not is_hosted(self.model)

    def write(self, transcript: Transcript, *, day: date, caller: Caller | None = None) -> Draft:
        """The draft of the note of `day`, with the usage of every call; long transcripts take several.

        Raises: WriterFailed, with its `kind` and what the calls used.
        """
        line = self._open_line(caller)
        return write_draft(
            line.ask,
            transcript,
            writer=self.name,
            day=day,
            limits=self.limits,
            paid=line,
            prompt=self._prompt,
        )

    def write_together(
        self, joined: Transcript, memos: Sequence[Memo], *, caller: Caller | None = None
    ) -> list[Draft | None]:
        """The drafts of several short memos of one owner in one call (`sharing.write_drafts`). Raises: WriterFailed."""
        line = self._open_line(caller)
        return write_drafts(line.ask, joined, memos, limits=self.limits, paid=line)

    def cut(self, usage: Usage) -> AnswerCut:
        """The error for an answer that breaks off where it became too long."""
        own = "; a larger server_context_tokens leaves more room" if self.name == "server" else ""
        return AnswerCut(self.name, f"its answer was cut off{own}", "bad_output", None, (usage,))

    def misread(self, body: bytes, wanted: str) -> WriterFailed:
        """The error for a body that is no answer: the model's fault only where it is JSON, else a proxy's page."""
        try:
            json.loads(body)
        except (ValueError, RecursionError):
            return failure(self.name, "broken_off", detail="what came is no JSON")
        return failure(self.name, "bad_output", detail=f"it is no {wanted}")

    def close(self) -> None:
        """Closes the connections; the writer cannot be asked afterwards."""
        self._client.close()

    @abstractmethod
    def open_client(self, **common: Any) -> Any:
        """The SDK's client, with everything given that it would else read from the environment."""

    @abstractmethod
    def name_provider(self, host: str) -> str:
        """The name by which genai-prices knows who sells tokens at a host."""

    @abstractmethod
    def request(
        self, dialect: Dialect, messages: Sequence[Message], shape: Shape, output_tokens: int
    ) -> dict[str, Any]:
        """The arguments of the SDK's call."""

    @abstractmethod
    def create(self, request: dict[str, Any]) -> bytes:
        """The body of the answer as it came. Raises the SDK's errors."""

    @abstractmethod
    def read(self, body: bytes) -> Reply:
        """The reply in a body. Raises: WriterFailed."""

    @abstractmethod
    def plainer(self, dialect: Dialect, words: str) -> Dialect | None:
        """The dialect without what the server's refusal names; None where it names nothing that can be left out."""

    def _open_line(self, caller: Caller | None) -> Line:
        return Line(caller or self._direct, self._ask, provider=self.provider, model=self.model)

    def _ask(self, messages: Sequence[Message], shape: Shape, output_tokens: int) -> Reply:
        try:
            return self._ask_its_way(messages, shape, output_tokens)
        except AnswerCut:
            self.limits = self.limits.after_cut(output_tokens)  # so that not every note pays for the same lesson
            raise

    def _ask_its_way(self, messages: Sequence[Message], shape: Shape, output_tokens: int) -> Reply:
        while True:
            dialect = self._dialect
            answer = self._post(self.request(dialect, messages, shape, output_tokens), self._limit_s(output_tokens))
            if isinstance(answer, bytes):
                return self.read(answer)
            error, words = answer
            plainer = self.plainer(dialect, words) if error.kind in _MAY_BE_THE_WAY else None
            if plainer is None:
                raise error
            self._dialect = plainer

    def _limit_s(self, output_tokens: int) -> float:
        """How long a call may take: the answer comes as a whole, and models write some dozens of tokens a second."""
        return self._timeout_s * max(1.0, output_tokens / _TIMED_TOKENS)

    def _post(self, request: dict[str, Any], limit_s: float) -> bytes | tuple[WriterFailed, str]:
        """The body of the answer, or the failure and the server's words, which stay in here.

        The SDK's error does not go on as a cause: it carries the request and the answer, somebody's diary.
        """
        try:
            with within(limit_s):
                return self.create(request)
        except Exception as error:  # any: an error that nobody foresaw may hold the diary too
            response = getattr(error, "response", None)
            return sort_error(self.name, error), "" if response is None else read_told(response.text)
