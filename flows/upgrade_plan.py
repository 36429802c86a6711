"""Which notes can be written better than they are, by whom, and about what that costs and takes.

Writes nothing and asks no model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import islice

from diarynotes.calls import Breaker, BudgetPeriod
from diarynotes.cost import LOCAL, price
from diarynotes.diary import Writer
from diarynotes.diary.numbered import estimate_tokens, number_lines
from diarynotes.diary.prompt import ask_for_note
from diarynotes.diary.prompt_choice import choose_prompt
from diarynotes.models import DiaryNote, RecordingId, Usage
from diarynotes.store import Experience, Fruitless
from flows.engines import Wishes
from flows.workshop import Workshop
from flows.writing import Work, plan_work

_CHUNK = 500
"""Notes read at a time."""
_ENOUGH_ANSWERS = 5
"""A model's own figures count from so many answers on; before, what is assumed below."""
_ASSUMED_S = {True: 60.0, False: 10.0}
"""Seconds an answer takes: of a model on this machine, or one elsewhere."""
_TOKENS_LOW = 2 / 3
"""An estimate takes a token for every 3 bytes; of English, one is for 4 and more."""
_SCHEMA_TOKENS = 500
"""What a server may add to say which shape is wanted; the exchange reckons with as many."""
_ANSWER_SHARES, _ANSWER_TOKENS = (0.3, 1.5), (100, 400)
"""A note by what was said, both in tokens, and what stands around it."""
_SPREADS = ((0.9, 1.1), (0.7, 1.3))
"""How far the tokens read and written may lie from a model's own mean."""
_FRUITLESS_ANSWERS = 4
"""So many answers that became no note, two tries with a repair each, are enough."""

Range = tuple[Decimal, Decimal]


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A degraded note and the work of writing it again; its chain are the better writers, `wanted` the best of all."""

    note: DiaryNote
    work: Work
    wanted: Writer


@dataclass(frozen=True, slots=True)
class Share:
    """What one writer is asked first for. `usd` is from and to, None where unknown; `measured` by its own answers."""

    writer: str
    model: str
    notes: int
    usd: Range | None
    seconds: float
    measured: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What an upgrade would do.

    `asked` are all writers that may be, first or after another; `clouds` those of them on another's machine. `left_usd`
    is what budgets leave for it, None where there are none.
    """

    shares: tuple[Share, ...]
    asked: frozenset[tuple[str, str]]
    clouds: tuple[str, ...]
    poorly_heard: int
    left_usd: Decimal | None

    @property
    def notes(self) -> int:
        return sum(share.notes for share in self.shares)

    @property
    def usd(self) -> Range | None:
        """From and to; None where a part is unknown."""
        known = [share.usd for share in self.shares if share.usd is not None]
        if len(known) < len(self.shares):
            return None
        return sum((low for low, _ in known), Decimal(0)), sum((high for _, high in known), Decimal(0))

    @property
    def seconds(self) -> float:
        return sum(share.seconds for share in self.shares)


def better_writers(
    own: tuple[str, str], chain: Sequence[Writer], *, vain: frozenset[tuple[str, str]] = frozenset()
) -> tuple[Writer, ...]:
    """The models of a chain that come before a note's `own` writer and model, without those that are asked in `vain`.

    A writer that is not in the chain, or no longer, comes after all of its models.
    """
    names = [(writer.name, writer.model) for writer in chain]
    before = chain[: names.index(own)] if own in names else chain
    return tuple(writer for writer in before if not writer.degraded and (writer.name, writer.model) not in vain)


def find_upgrades(
    shop: Workshop,
    wishes: Wishes,
    *,
    owner: str | None = None,
    since: date | None = None,
    until: date | None = None,
    ids: Sequence[RecordingId] | None = None,
    limit: int | None = None,
) -> list[Upgrade]:
    """The degraded notes for which the chain holds a better writer, newest day first.

    A model that rejected what was said, or answered it in vain, within the last 30 days is not asked again, unless it
    is wished for by name.
    """
    degraded = shop.store.degraded(owner=owner, since=since, until=until, ids=ids)
    chunks = (degraded[start : start + _CHUNK] for start in range(0, len(degraded), _CHUNK))
    return list(islice((upgrade for chunk in chunks for upgrade in _find_in(shop, wishes, chunk)), limit))


def _find_in(shop: Workshop, wishes: Wishes, degraded: Sequence[RecordingId]) -> Iterator[Upgrade]:
    store = shop.store
    stored = {each.note.recording_id: each for each in store.notes(recording_ids=degraded)}
    transcripts = store.transcripts(degraded)
    vain = {} if wishes.writers else _by_recording(store.fruitless(degraded))
    for recording_id in degraded:
        if recording_id not in stored:
            continue
        note = stored[recording_id].note
        work = plan_work(shop, stored[recording_id].recording, transcripts[recording_id], wishes)
        better = better_writers((note.writer, note.model), work.chain, vain=vain.get(recording_id, frozenset()))
        if better and number_lines(work.transcript):
            yield Upgrade(note, replace(work, day=note.day, chain=better), work.chain[0])


def _by_recording(fruitless: Sequence[Fruitless]) -> dict[RecordingId, frozenset[tuple[str, str]]]:
    vain: dict[RecordingId, frozenset[tuple[str, str]]] = {}
    for each in fruitless:
        if each.rejected or each.answers >= _FRUITLESS_ANSWERS:
            vain[each.recording_id] = vain.get(each.recording_id, frozenset()) | {(each.writer, each.model)}
    return vain


def plan_upgrade(shop: Workshop, upgrades: Sequence[Upgrade], *, poorly_heard: int) -> Plan:
    """What these upgrades would do, as if each were written by the first writer that is asked for it."""
    experience = shop.store.experience()
    groups: dict[tuple[str, str], list[Upgrade]] = {}
    for upgrade in upgrades:
        first = upgrade.work.chain[0]
        groups.setdefault((first.name, first.model), []).append(upgrade)
    shares = [
        _estimate(shop, [upgrade.work for upgrade in group], experience.get(key)) for key, group in groups.items()
    ]
    asked = {(writer.name, writer.model): writer for upgrade in upgrades for writer in upgrade.work.chain}
    clouds = dict.fromkeys(writer.name for writer in asked.values() if not writer.local)
    owners = {upgrade.work.recording.owner for upgrade in upgrades}
    return Plan(tuple(shares), frozenset(asked), tuple(clouds), poorly_heard, _left_usd(shop, owners))


def find_resting(shop: Workshop, plan: Plan) -> list[tuple[Breaker, datetime]]:
    """The breakers of those who may be asked that are open now, and until when."""
    keys = {key for name, model in plan.asked for key in (name, f"{name}:{model}")}
    now = datetime.now(UTC)
    return [
        (breaker, breaker.open_until)
        for breaker in shop.store.breakers()
        if breaker.key in keys and breaker.open_until is not None and breaker.open_until > now
    ]


def _estimate(shop: Workshop, works: Sequence[Work], known: Experience | None) -> Share:
    writer = works[0].chain[0]
    known = known if known and known.answers >= _ENOUGH_ANSWERS else None
    sizes = [_measure(work) for work in works]
    low, high = (_price(writer, sizes, known, place) for place in (0, 1))
    lanes = 1 if writer.name == "llama_cpp" else min(shop.settings.writer_concurrency, len(works))
    latency_s = known.latency_s if known else _ASSUMED_S[writer.local]
    seconds = latency_s * sum(size.calls for size in sizes) / lanes
    usd = None if low is None or high is None else (low, high)
    return Share(writer.name, writer.model, len(works), usd, seconds, known is not None)


@dataclass(frozen=True, slots=True)
class _Size:
    """How much there is to read, in tokens as `estimate_tokens` counts them, and in how many calls."""

    said: int
    read: int
    calls: int


def _measure(work: Work) -> _Size:
    lines = number_lines(work.transcript)
    prompt = choose_prompt(work.transcript)
    messages = ask_for_note(lines, day=work.day, language=work.transcript.language, prompt=prompt)
    whole = sum(estimate_tokens(message.text) for message in messages)
    said = sum(estimate_tokens(str(line)) for line in lines)
    limits = getattr(work.chain[0], "limits", None)
    calls = max(1, -(-said // limits.part_tokens)) if limits else 1
    return _Size(said, said + calls * (max(0, whole - said) + _SCHEMA_TOKENS), calls)


def _price(writer: Writer, sizes: Sequence[_Size], known: Experience | None, place: int) -> Decimal | None:
    """What all of it costs at the low (0) or the high (1) end; None where the price is unknown."""
    provider = LOCAL if writer.local else getattr(writer, "provider", writer.name)
    tell: Callable[[_Size], tuple[float, float]]
    if known:
        shares = (known.input_share * _SPREADS[0][place], known.output_share * _SPREADS[1][place])
        tell = lambda size: (size.read * shares[0], size.read * shares[1])  # noqa: E731
    else:
        tell = (_least, _most)[place]
    total = Decimal(0)
    for size in sizes:
        read, written = tell(size)
        usd = price(Usage(provider, writer.model, round(read), round(written))).usd
        if usd is None:
            return None
        total += usd
    return total


def _least(size: _Size) -> tuple[float, float]:
    return size.read * _TOKENS_LOW, size.said * _TOKENS_LOW * _ANSWER_SHARES[0] + size.calls * _ANSWER_TOKENS[0]


def _most(size: _Size) -> tuple[float, float]:
    written = size.said * _ANSWER_SHARES[1] + size.calls * _ANSWER_TOKENS[1]
    return float(size.read), written


def _left_usd(shop: Workshop, owners: set[str]) -> Decimal | None:
    """What the budgets of all, and of the owner where there is one alone, leave; None without a limit."""
    own = owners.pop() if len(owners) == 1 else ""
    budgets = shop.settings.of(own).budgets
    limits: list[tuple[Decimal | None, str, BudgetPeriod]] = [
        (budgets.day_usd, "", "day"),
        (budgets.month_usd, "", "month"),
        (budgets.owner_day_usd if own else None, own, "day"),
        (budgets.owner_month_usd if own else None, own, "month"),
    ]
    left = [limit - shop.store.spent(whose, period) for limit, whose, period in limits if limit is not None]
    return max(min(left), Decimal(0)) if left else None
