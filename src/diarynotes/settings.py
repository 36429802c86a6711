"""What a user may set, read once at the edge: command line over `DIARYNOTES_*` over `diarynotes.toml` over defaults.

Only edges (the command line, flows, blocks) import this; stages get what they need as arguments.
"""

from __future__ import annotations

import json
import math
import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import time
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from diarynotes.calls import Budgets
from diarynotes.errors import BadSettings, StorageFailed

MOST_TERMS = 10
"""How many terms of a glossary one owner may have."""
_PREFIX = "DIARYNOTES_"
_FILE = "diarynotes.toml"
_MISTRAL_URL = "https://api.mistral.ai/v1"
_VENDOR_NAMES = ("openai", "anthropic", "mistral")
_VENDORS = (
    *("openai_api_key", "openai_base_url", "anthropic_api_key", "anthropic_base_url", "mistral_api_key"),
    *("agentops_api_key", "agentops_api_endpoint", "agentops_exporter_endpoint"),
)
"""Read from the names that the vendors' own programs use, too, where nothing else gives them."""
_OLLAMA_URL = "http://localhost:11434/v1"
OWNER_SETTINGS = frozenset(
    "writers writers_urgent writers_low prompt_style cloud local_only private_names phone_region "
    "owner_budget_day_usd owner_budget_month_usd".split()
)
"""What an owner may have otherwise than everybody."""
PROMPT_STYLES = ("auto", "memo", "ramble", "meeting", "todo")
_SHARING = ("on", "off", "low")
_SWITCHES = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that changes how diarynotes runs; each field is also an environment variable and a TOML key."""

    home: Path
    """Holds `bucket/`, `warehouse/`, `postgres/`, `models/` and `diarynotes.duckdb`."""
    database_url: str | None = None
    """A Postgres to use; None runs the embedded one under the home."""
    owner: str = "me"
    timezone: str = ""
    """IANA name of the writer's time zone; empty is the system's."""
    day_start: time = time(4, 0)
    """A note recorded before this time belongs to the day before."""
    engine: str = "auto"
    model: str = ""
    """A Whisper model's name or the path of its weights; empty goes by priority and length, as the next four say."""
    model_low: str = "tiny"
    """Hears recordings of low priority, and those longer than `long_s`."""
    model_normal: str = "base"
    model_urgent: str = "small"
    long_s: float = 3600.0
    second_model: str = "auto"
    """Hears again what the first model cannot be trusted with: a model on disk, auto for the next larger, or off."""
    device: str = "auto"
    """Where Whisper runs: cpu, cuda, or auto, which is the GPU where there is one that works."""
    max_engines: int = 3
    """How many engines stay loaded; the least recently used makes room for another."""
    engine_memory_bytes: int = 0
    """How much memory loaded engines may take together before one makes room; 0 is half of the machine's."""
    engine_idle_s: float = 300.0
    """After how long without work an engine is unloaded."""
    engine_timeout_s: float = 300.0
    """How long a window of 30 s may take to decode on a CPU, or a whole batch on a GPU, before its engine is ended."""
    engine_load_timeout_s: float = 900.0
    """How long a model may take to load, and to be converted where that is needed."""
    language: str = ""
    """Force a language (ISO 639-1); empty detects it."""
    glossary: tuple[str, ...] = ()
    """Names and words that may come up, at most ten an owner, such as `me=Anna; Zug`; without `me=` for everybody."""
    doubt_below: float = 0.65
    """Windows of speech whose text is trusted less than this (0 to 1) are heard again."""
    redecode_temperatures: tuple[float, ...] = (0.4, 0.8)
    """And at which temperatures, one after the other; none for never."""
    untrusted_below: float = 0.2
    """A recording whose transcript is trusted less than this is set aside."""
    models_folder: str = ""
    """Where model weights lie; empty is `models/` under the home."""
    fetch_models: bool = True
    """Whether a model that is not on disk may be downloaded; else the nearest one that is there is taken."""
    preprocess_high_pass: str = "auto"  # noqa: S105 (no password)
    """Cut rumble below 80 Hz first: on, off, or auto: where validation suggests it and it helps the engine."""
    preprocess_noise_reduction: str = "auto"
    """Turn steady noise down before listening: on, off, or auto."""
    preprocess_loudness: str = "auto"
    """Bring speech to one level before listening: on, off, or auto."""
    writers: tuple[str, ...] = ("auto",)
    """The chain of writers, such as `openai:gpt-5.4,anthropic`; the first that answers writes the note.

    `auto` are those that have a key or a model: openai, anthropic, mistral, llama_cpp, server, extractive.
    """
    writers_urgent: tuple[str, ...] = ()
    """The chain for urgent recordings; empty is `writers`."""
    writers_low: tuple[str, ...] = ()
    """The chain for recordings of low priority; empty is `writers`, with `auto` the cheap models first."""
    long_words: int = 6_000
    """A transcript of more words begins at the cheap models of `auto`, too; this many are about 45 minutes."""
    share_calls: str = "low"
    """Whether short memos of one owner share a call: on, off, or low, which is those of low priority."""
    prompt_style: str = "auto"
    """How notes are to be written: memo, ramble, meeting, todo, or auto, which goes by the shape of what was said."""
    cloud: bool = True
    """Whether a writer may send what was said, masked, to another's machine."""
    local_only: tuple[str, ...] = ()
    """Recordings of which nothing may be sent there, by patterns of their place, such as `*/private/*`."""
    private_names: tuple[str, ...] = ()
    """Names that no such machine may ever see, beside those that are found."""
    phone_region: str = ""
    """Where telephone numbers without a country code belong (ISO 3166, two letters); empty goes by the language."""
    openai_api_key: str = field(default="", repr=False)
    openai_base_url: str = ""
    openai_model: str = "gpt-5.4"
    openai_cheap_model: str = "gpt-5.4-mini"
    mistral_api_key: str = field(default="", repr=False)
    mistral_base_url: str = ""
    mistral_model: str = "mistral-small-latest"
    anthropic_api_key: str = field(default="", repr=False)
    anthropic_base_url: str = ""
    anthropic_model: str = "claude-sonnet-5"
    anthropic_cheap_model: str = "claude-haiku-4-5"
    server_api_key: str = field(default="", repr=False)
    server_base_url: str = ""
    """A server of one's own that speaks as OpenAI's does; where it is named without one, Ollama's on this machine."""
    server_local: bool = False
    """Whether that server, and the way to it, are one's own where its address does not show it, such as http://ollama.

    What it is sent is then not masked. A model that such a server hands on, as Ollama does its `-cloud` ones, never is.
    """
    server_model: str = "llama3.2"
    server_context_tokens: int = 4_096
    """How much that server takes at once; what is longer is written in parts."""
    llama_model: str = ""
    """A GGUF for llama.cpp in this process: its path, or its name in the folder of models."""
    llama_context_tokens: int = 8_192
    llama_gpu_layers: int = -1
    """How many layers lie on the GPU; -1 is all, where there is one that llama.cpp was built for."""
    llama_timeout_s: float = 600.0
    """How long the model may take to load, and each answer of it."""
    llama_idle_s: float = 300.0
    """After how long without work the model is unloaded."""
    daily_entries: bool = True
    """Whether a run ends with writing the entries of the days that it touched."""
    writer_timeout_s: float = 60.0
    """How long a call may take for an answer of up to 1,500 tokens; one that may be longer has as much longer."""
    writer_proxy: str = field(default="", repr=False)
    """An HTTP proxy through which the vendors are reached; a server of one's own never is."""
    writer_ca_file: str = ""
    """Certificates (PEM) of those who may vouch for servers besides the public ones, such as a company's own."""
    writer_concurrency: int = 8
    """How many notes are written side by side while others' machines do the work."""
    budget_day_usd: float | None = None
    """The most that all owners together may spend on models in a day; over it only free writers are asked.

    None is no limit, and 0 is nothing at all; so it is with the next three.
    """
    budget_month_usd: float | None = None
    owner_budget_day_usd: float | None = None
    """The most that each owner may spend; `[owners.NAME]` in the file sets it for one."""
    owner_budget_month_usd: float | None = None
    owners: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Settings of single owners, tables `[owners.NAME]` in the file: those of `OWNER_SETTINGS`."""
    agentops_api_key: str = field(default="", repr=False)
    """Tells AgentOps of calls to models, their tokens, time and cost; needs the extra `agentops`, and `cloud`."""
    agentops_api_endpoint: str = "https://api.agentops.ai"
    agentops_exporter_endpoint: str = "https://otlp.agentops.ai/v1/traces"
    max_size_bytes: int = 500_000_000
    min_duration_s: float = 1.0
    max_duration_s: float = 36_000.0
    min_sample_rate_hz: int = 8_000
    decode_timeout_s: float = 120.0
    decode_memory_bytes: int = 1_000_000_000
    workers: int = 0
    """Processes that decode and listen side by side; 0 is one per core, at most 8."""
    run_slots: int = 2
    """How many runs `diarynotes up` lets go side by side in the pool cpu, each in a process that is kept warm."""
    transcribe_on: str = ""
    """The deployment that listens, such as `transcribe/gpu`; empty listens in the process that picks up."""
    write_on: str = ""
    """The deployment that writes and lands, such as `write/cpu`; empty does so in the process that listens."""
    shard_startup_s: float = 12.0
    """What a run of `transcribe_on` takes until its model is loaded; a shard is long enough to make that one in 20."""
    shard_pace: float = 60.0
    """How many seconds of sound it hears in one."""
    buckets: tuple[str, ...] = ()
    """What is swept for new recordings, whole buckets of `<owner>/…`; empty is `bucket/` under the home."""
    sweep_pages: int = 20
    """How many pages of 1,000 names a sweep asks each bucket for; 5 million objects come round in 250 sweeps."""
    gcs_block: str = ""
    """The Prefect block with credentials for gs:// (gcp-credentials/NAME, gcs-bucket/NAME); empty: the platform's."""
    s3_block: str = ""
    """The one for s3:// (aws-credentials/NAME, minio-credentials/NAME or s3-bucket/NAME)."""
    azure_block: str = ""
    """The one for az:// (azure-buckets/NAME)."""
    receive_buckets: tuple[str, ...] = ()
    """The buckets and folders that others may tell of; empty is `buckets`."""
    receive_secret: str = field(default="", repr=False)
    """Signs messages to `/drops`; each of these ways in is closed without its secret."""
    receive_s3_key: str = field(default="", repr=False)
    """What EventBridge sends as `X-API-Key` to `/s3`."""
    receive_sqs_queue: str = ""
    """The URL of an SQS queue to ask for messages."""
    receive_pubsub_audience: str = ""
    """What Pub/Sub's tokens to `/gcs` are for, and the service account that they are of."""
    receive_pubsub_email: str = ""
    receive_pubsub_keys: str = "https://www.googleapis.com/oauth2/v3/certs"
    """Where the public keys of those tokens are: a URL or a file."""
    receive_pubsub_subscription: str = ""
    """A Pub/Sub subscription to ask for messages, projects/PROJECT/subscriptions/NAME."""
    receive_pubsub_url: str = "https://pubsub.googleapis.com"
    receive_azure_key: str = field(default="", repr=False)
    """What Event Grid sends as `aeg-sas-key`, or behind `?code=`, to `/azure`."""
    receive_azure_tenant: str = ""
    """The Entra tenant whose tokens are accepted there as well, and what they are for."""
    receive_azure_audience: str = ""
    receive_azure_app: str = "4962773b-9cdb-44cf-a8bf-237846a00ab7"
    """Who may send with such a token; Event Grid itself."""
    receive_azure_keys: str = ""
    """Where the public keys of the tenant are; empty is where Microsoft has them."""
    snapshot_age_s: float = 60.0
    """How old the DuckDB file may become while runs follow each other; each one builds it anew from all that landed."""
    lease_s: float = 60.0
    """How long a claim on a recording holds without being renewed."""
    retry_delays_s: tuple[float, ...] = (60.0, 300.0, 1800.0)
    """How long a recording that failed waits for each further try; the reason may lengthen or end it."""
    most_crashes: int = 3
    """How many workers may die on a recording in a row, the last ones with nothing else in hand; one more ends it."""

    @property
    def zone(self) -> ZoneInfo:
        """The writer's time zone."""
        name = self.timezone
        if not name:
            import tzlocal  # reads the system's settings; only needed where a zone is

            name = tzlocal.get_localzone_name() or "UTC"
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise BadSettings("timezone", f"'{name}' is no IANA time zone, such as Europe/Berlin") from error

    @property
    def left_behind_s(self) -> float:
        """After how long a recording that nobody has touched is taken for left behind, seconds.

        Where other pools listen, it may wait in their queues for longer.
        """
        return 900.0 if self.transcribe_on else 60.0

    def terms_of(self, owner: str) -> tuple[str, ...]:
        """The glossary of one owner, with what is for everybody. Raises: BadSettings for more than ten terms."""
        terms: list[str] = []
        for entry in self.glossary:
            whose, equals, words = entry.rpartition("=")
            if not equals or whose.strip() == owner:
                terms += parse_terms(words)
        return check_terms(terms)

    def of(self, owner: str) -> Settings:
        """These settings as they are for one owner. Nobody's own may loosen what is forbidden to all."""
        own = dict(self.owners.get(owner, {}))
        own["cloud"] = self.cloud and own.get("cloud", True)
        for name in ("private_names", "local_only"):
            own[name] = (*getattr(self, name), *own.get(name, ()))
        return replace(self, **own)

    @property
    def budgets(self) -> Budgets:
        """The most that may be spent; `of` an owner, on that owner."""
        names = ("budget_day_usd", "budget_month_usd", "owner_budget_day_usd", "owner_budget_month_usd")
        limits = (getattr(self, name) for name in names)
        return Budgets(*(None if limit is None else Decimal(str(limit)) for limit in limits))

    @property
    def preprocess_modes(self) -> dict[str, Any]:
        """How each step of preprocessing is set, by its name."""
        prefix = "preprocess_"
        steps = [field.name for field in fields(self) if field.name.startswith(prefix)]
        return {name.removeprefix(prefix): getattr(self, name) for name in steps}

    @property
    def writer_options(self) -> dict[str, dict[str, Any]]:
        """What each writer behind an API is opened with, by its name; holds keys."""
        options: dict[str, dict[str, Any]] = {
            name: {
                "name": name,
                "model": getattr(self, f"{name}_model"),
                "api_key": getattr(self, f"{name}_api_key") or None,
                "base_url": getattr(self, f"{name}_base_url") or None,
                "timeout_s": self.writer_timeout_s,
                "ca_file": self.writer_ca_file or None,
            }
            for name in (*_VENDOR_NAMES, "server")
        }
        if self.mistral_api_key and not self.mistral_base_url:
            options["mistral"]["base_url"] = _MISTRAL_URL  # without a key that is to be asked for, not sent to
        for name in _VENDOR_NAMES:
            # whatever the address is: behind one on this machine there may be a proxy
            options[name] |= {"local": False, "provider": name, "proxy": self.writer_proxy or None}
        options["server"]["context_tokens"] = self.server_context_tokens
        options["server"]["base_url"] = self.server_base_url or _OLLAMA_URL
        options["server"]["local"] = self.server_local or None  # else by what the address shows
        options["llama_cpp"] = {
            "model": self.llama_model,
            "models_folder": self.models,
            "context_tokens": self.llama_context_tokens,
            "gpu_layers": self.llama_gpu_layers,
            "idle_s": self.llama_idle_s,
            "timeout_s": self.llama_timeout_s,
        }
        return options

    @property
    def writer_models(self) -> dict[str, tuple[str, ...]]:
        """The models of each writer that could be asked, the strongest first, by its name."""
        found: dict[str, tuple[str, ...]] = {}
        for name in _VENDOR_NAMES:
            if getattr(self, f"{name}_api_key"):
                cheap = getattr(self, f"{name}_cheap_model", "")
                found[name] = tuple(dict.fromkeys(filter(None, (getattr(self, f"{name}_model"), cheap))))
        if self.llama_model:
            found["llama_cpp"] = (self.llama_model,)
        if self.server_base_url:
            found["server"] = (self.server_model,)
        return found

    @property
    def worker_count(self) -> int:
        return self.workers or min(8, os.cpu_count() or 1)

    @property
    def engine_memory(self) -> int:
        """Bytes that loaded engines may take together."""
        import psutil  # type: ignore[import-untyped]  # only needed where engines are opened

        return self.engine_memory_bytes or int(psutil.virtual_memory().total // 2)

    @property
    def models(self) -> Path:
        return Path(self.models_folder).expanduser() if self.models_folder else self.home / "models"

    @property
    def spool(self) -> Path:
        """Downloads and decoded audio on their way between processes; emptied as they are read."""
        return self.home / "spool"

    @property
    def warehouse(self) -> Path:
        return self.home / "warehouse"

    @property
    def snapshot(self) -> Path:
        return self.home / "diarynotes.duckdb"


def load_settings(environment: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Settings from the TOML file, the environment and `overrides` (None means not given), the later one winning.

    The file is `diarynotes.toml` in the working directory, else in the home.

    Raises: BadSettings, naming the setting, for a value that does not fit or a key that does not exist.
    """
    environment = os.environ if environment is None else environment
    given = {name: value for name, value in overrides.items() if value is not None}
    from_environment = {
        field.name: environment[_PREFIX + field.name.upper()]
        for field in fields(Settings)
        if environment.get(_PREFIX + field.name.upper())
    }
    from_vendors = {name: environment[name.upper()] for name in _VENDORS if environment.get(name.upper())}
    home = Path(given.pop("home", None) or from_environment.pop("home", None) or _default_home()).expanduser().resolve()
    settings = Settings(home=home)
    for layer in (from_vendors, _read_file(home), from_environment, given):
        settings = replace(settings, **{name: _parse(name, value) for name, value in layer.items()})
    return settings


def make_home(settings: Settings) -> None:
    """Makes the home where there is none, for its owner's eyes only. Raises: StorageFailed, naming it."""
    try:
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageFailed(str(settings.home), error.strerror or str(error)) from error


def parse_terms(words: str, separator: str = ";") -> list[str]:
    """The terms in `words`, each once."""
    return list(dict.fromkeys(term.strip() for term in words.split(separator) if term.strip()))


def check_terms(terms: Sequence[str]) -> tuple[str, ...]:
    """Raises: BadSettings for more terms than a model heeds (a longer prompt costs text and is mostly forgotten)."""
    if len(terms) > MOST_TERMS:
        raise BadSettings("glossary", f"has {len(terms)} terms for one owner; at most {MOST_TERMS} are heeded")
    return tuple(terms)


def _default_home() -> Path:
    import platformdirs  # only where no home is given

    return Path(platformdirs.user_data_dir("diarynotes"))


def _read_file(home: Path) -> dict[str, Any]:
    for folder in (Path.cwd(), home):
        path = folder / _FILE
        if path.is_file():
            try:
                values = tomllib.loads(path.read_text())
            except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
                raise BadSettings(str(path), f"is not valid TOML: {error}") from error
            values.pop("home", None)
            return values
    return {}


def _parse(name: str, value: Any) -> Any:
    defaults = {field.name: field.default for field in fields(Settings)}
    if name not in defaults:
        raise BadSettings(name, f"is no setting; known are {', '.join(sorted(defaults))}")
    if name == "owners":
        return _parse_owners(value)
    default = defaults[name]
    try:
        if name in _READERS:
            return _READERS[name](value)
        if isinstance(default, tuple):
            kind: Any = type(default[0]) if default else str
            return tuple(kind(part) for part in _parts(value))
        if isinstance(default, bool):
            return value if isinstance(value, bool) else _SWITCHES[str(value).lower()]
        if isinstance(default, time):
            return value if isinstance(value, time) else time.fromisoformat(str(value))
        kind = str if default is None else type(default)
        return kind(value)
    except (ValueError, TypeError, KeyError) as error:
        raise BadSettings(name, f"cannot be {value!r}") from error


def _parse_usd(value: Any) -> float | None:
    """A limit of money; `none` lifts for one owner what is set for all."""
    if str(value).lower() == "none":
        return None
    usd = float(value)
    if not (math.isfinite(usd) and usd >= 0):
        raise ValueError
    return usd


def _parse_sharing(value: Any) -> str:
    said = str(value).lower()
    return _choose(_SHARING, "on" if _SWITCHES.get(said) else "off" if said in _SWITCHES else said)


def _check_positive(number: float) -> float:
    if not (math.isfinite(number) and number > 0):
        raise ValueError
    return number


def _choose(known: Sequence[str], said: str) -> str:
    if said not in known:
        raise ValueError
    return said


_READERS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        "budget_day_usd": _parse_usd,
        "budget_month_usd": _parse_usd,
        "owner_budget_day_usd": _parse_usd,
        "owner_budget_month_usd": _parse_usd,
        "prompt_style": lambda value: _choose(PROMPT_STYLES, str(value)),
        "share_calls": _parse_sharing,
        "writer_concurrency": lambda value: _check_positive(int(value)),
        "writer_timeout_s": lambda value: _check_positive(float(value)),
    }
)
"""How settings are read that take less than everything of their type."""


def _parse_owners(value: Any) -> dict[str, dict[str, Any]]:
    try:
        tables = json.loads(value) if isinstance(value, str) else value
        owners = {owner: dict(table) for owner, table in tables.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise BadSettings("owners", "is a table for each owner, [owners.NAME]") from error
    for owner, table in owners.items():
        if strangers := sorted(table.keys() - OWNER_SETTINGS):
            known = ", ".join(sorted(OWNER_SETTINGS))
            raise BadSettings(f"owners.{owner}", f"'{strangers[0]}' cannot be set for one owner; known are {known}")
    return {owner: {name: _parse(name, one) for name, one in table.items()} for owner, table in owners.items()}


def _parts(value: Any) -> list[Any]:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return list(value)
