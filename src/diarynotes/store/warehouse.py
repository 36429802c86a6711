"""The warehouse: five Delta tables under one folder, derived from Postgres, written by many processes at once.

Knows landings and Delta; knows no Postgres. What it can lose is compared with Postgres by `store.repair`.

A landing replaces all rows of its recordings in one commit per table: read which attempts are there, drop what a
newer attempt has overtaken, replace the rest. Delta refuses the commit when anybody else has changed the rows that
were read, and then all of it is done again from the reading on. So a lost answer is looked up before anything is
written twice, and a worker that froze and thawed writes nothing over its successor's rows.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager, suppress
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from diarynotes.errors import BadSettings, StorageFailed
from diarynotes.models import RecordingId
from diarynotes.store.facts import Landing
from diarynotes.store.land import TABLES, make_frame, schema_of

if TYPE_CHECKING:
    import polars as pl
    from deltalake import DeltaTable

_UNFIT = frozenset("[]|^%\\")
"""Signs that Delta's address parser takes in no path."""

T = TypeVar("T")
Attempts: TypeAlias = dict[RecordingId, int]

_RETRY_LIMIT_S = 120.0
"""How long a landing keeps trying while others commit first."""

_MANY_FILES = 8
"""A day with more files than this is put together into one."""

_PROPERTIES = {"delta.checkpointInterval": "20", "delta.logRetentionDuration": "interval 30 days"}


class Warehouse:
    """The Delta tables under `folder`; they are made by the first landing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def land(self, landings: Sequence[Landing]) -> bool:
        """Make every table hold exactly `landings` for their recordings; a recording's day may have changed.

        Older attempts than those that have landed count for nothing; false where there were any. Doing it twice
        changes nothing, not even a file. Raises StorageFailed.
        """
        newest = {landing.recording.id: landing for landing in sorted(landings, key=lambda each: each.attempt)}
        valid = list(newest.values())
        for table in TABLES:
            valid = self._retrying(partial(self._replace, table, valid))
        return len(valid) == len(newest)

    def read(self, table: str) -> pl.LazyFrame:
        """All rows of `table`; an empty frame before anything has landed."""
        return _scan(table, self.files(table))

    def files(self, table: str, days: Set[date] | None = None) -> list[Path]:
        """The Parquet files that make up `table` now, each under a folder `day=YYYY-MM-DD`; only those of `days`."""
        with _failures(self.folder / table):
            delta = self._open(table)
            found = _files(delta, self.folder / table) if delta else []
        return [path for path in found if days is None or _day(path) in days]

    def scan(self, table: str, files: Sequence[Path]) -> pl.LazyFrame:
        """The rows of `table` that lie in some of its `files`."""
        return _scan(table, files)

    def versions(self) -> tuple[int, ...]:
        """The version of each table, -1 for one that is not made yet; they differ whenever rows do."""
        found = []
        for table in TABLES:
            with _failures(self.folder / table):
                delta = self._open(table)
                found.append(delta.version() if delta else -1)
        return tuple(found)

    def tidy(self) -> None:
        """Put small files together and delete those that no version of the last seven days needs."""
        for table in TABLES:
            self._retrying(partial(self._compact, table))

    # -- one table ----------------------------------------------------------------------------------------------------

    def _replace(self, table: str, landings: Sequence[Landing]) -> list[Landing]:
        """Replace the rows of `landings` in one commit, those apart that a newer attempt has overtaken; the others."""
        from deltalake import write_deltalake

        if not landings:
            return []
        delta = self._open(table) or self._create(table)
        _add_columns(delta, table)
        present = self._rows(table, delta, landings)
        landed = _attempts(present)
        valid = [landing for landing in landings if landing.attempt >= landed.get(landing.recording.id, 0)]
        rows = make_frame(table, valid)
        if valid and not _same(rows, present, valid):
            write_deltalake(delta, rows, mode="overwrite", predicate=_predicate(valid))
            self._gather(table, delta, {landing.note.day for landing in valid}, _MANY_FILES)
        return valid

    def _gather(self, table: str, delta: DeltaTable, days: Set[date] | None, most: int) -> None:
        """Put the files of each of `days` (None: of all) that has more than `most` together into one."""
        from deltalake.exceptions import CommitFailedError

        files = Counter(_day(path) for path in _files(delta, self.folder / table))
        for day in sorted(day for day, count in files.items() if count > most and (days is None or day in days)):
            with suppress(CommitFailedError):  # somebody else is at work on this day, and will do it
                self._rewrite(table, delta, day)

    def _rewrite(self, table: str, delta: DeltaTable, day: date) -> None:
        """Write a day's rows as they are into one file.

        Not by Delta's own compaction: delta-rs lets commits through that remove files which a compaction has removed
        meanwhile, since that changes no data. So two at a time would both succeed, and all rows be there twice.
        """
        from deltalake import write_deltalake

        files = [path for path in _files(delta, self.folder / table) if _day(path) == day]
        rows = _scan(table, files).collect()
        write_deltalake(delta, rows, mode="overwrite", predicate=f"day = {_quoted(str(day))}")

    def _rows(self, table: str, delta: DeltaTable, landings: Sequence[Landing]) -> pl.DataFrame:
        """What `table` holds of the recordings of `landings`."""
        import polars as pl

        days = _days(landings)
        files = [path for path in _files(delta, self.folder / table) if days is None or _day(path) in days]
        ids = pl.Series([landing.recording.id for landing in landings])
        # filtered only when in memory: Polars takes 20 times longer to look for many ids while it reads
        keys = _scan(table, files).select("recording_id").collect()
        if not keys["recording_id"].is_in(ids.implode()).any():
            return pl.DataFrame(schema=schema_of(table))
        return _scan(table, files).collect().filter(pl.col("recording_id").is_in(ids.implode()))

    def _open(self, table: str) -> DeltaTable | None:
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        folder = self.folder / table
        if _UNFIT & set(str(folder.absolute())):
            raise BadSettings(
                "home", f"Delta tables cannot lie in a folder whose name holds any of {''.join(sorted(_UNFIT))}"
            )
        _check_log(folder)
        try:
            return DeltaTable(folder)
        except TableNotFoundError:
            return None

    def _create(self, table: str) -> DeltaTable:
        import polars as pl
        from deltalake import DeltaTable, Schema

        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        DeltaTable.create(
            self.folder / table,
            Schema.from_arrow(pl.Schema(schema_of(table))),
            mode="ignore",
            partition_by=["day"],
            configuration=_PROPERTIES,
        )
        return DeltaTable(self.folder / table)

    def _compact(self, table: str) -> None:
        delta = self._open(table)
        if delta is not None:
            self._gather(table, delta, None, 1)
            if delta.vacuum(dry_run=True):  # for nothing, it would make a new version all the same
                delta.vacuum(dry_run=False)

    def _retrying(self, act: Callable[[], T]) -> T:
        from deltalake.exceptions import CommitFailedError
        from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

        retrying = Retrying(
            retry=retry_if_exception_type(CommitFailedError),
            wait=wait_random_exponential(multiplier=0.02, max=1.0),
            stop=stop_after_delay(_RETRY_LIMIT_S),
            reraise=True,
        )
        with _failures(self.folder):
            return retrying(act)


def _scan(table: str, files: Sequence[Path]) -> pl.LazyFrame:
    # not scan_delta: it looks for the percent-encoded name of a folder such as "Application Support"
    import polars as pl

    schema = schema_of(table)
    if not files:
        return pl.LazyFrame(schema=schema)
    frame = pl.scan_parquet(
        list(files),
        glob=False,
        schema=schema,
        missing_columns="insert",  # files from before a column was added
        hive_partitioning=True,
        hive_schema={"day": pl.Date},
    )
    return frame.select(list(schema))


def _add_columns(delta: DeltaTable, table: str) -> None:
    """Columns that this version of diarynotes has and the one that made the table had not."""
    import polars as pl
    from deltalake import Schema

    present = {field.name for field in delta.schema().fields}
    missing = {name: kind for name, kind in schema_of(table).items() if name not in present}
    if missing:
        delta.alter.add_columns(list(Schema.from_arrow(pl.Schema(missing)).fields))


def _files(delta: DeltaTable, folder: Path) -> list[Path]:
    return [folder.joinpath(*uri.split("/")[-2:]) for uri in delta.file_uris()]


def _day(path: Path) -> date:
    return date.fromisoformat(path.parent.name.removeprefix("day="))


def _attempts(rows: pl.DataFrame) -> Attempts:
    newest: Attempts = {}
    for recording_id, attempt in rows.select("recording_id", "attempt").iter_rows():
        newest[recording_id] = max(attempt, newest.get(recording_id, 0))
    return newest


def _same(rows: pl.DataFrame, present: pl.DataFrame, landings: Sequence[Landing]) -> bool:
    """Whether `rows` is all that the table holds of `landings` already."""
    import polars as pl

    order = ["recording_id", "number"] if "number" in rows.columns else ["recording_id"]
    ids = pl.Series([landing.recording.id for landing in landings])
    mine = present.filter(pl.col("recording_id").is_in(ids.implode()))
    return rows.sort(order).equals(mine.sort(order))


def _days(landings: Sequence[Landing]) -> set[date] | None:
    """Every day under which rows of these recordings may be; None for any."""
    days: set[date] = set()
    for landing in landings:
        if landing.days is None:
            return None
        days |= {landing.note.day, *landing.days}
    return days


def _predicate(landings: Sequence[Landing]) -> str:
    ids = ", ".join(_quoted(landing.recording.id) for landing in landings)
    days = _days(landings)
    some = f"recording_id in ({ids})"
    return some if days is None else f"day in ({', '.join(_quoted(str(day)) for day in sorted(days))}) and {some}"


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _check_log(folder: Path) -> None:
    """A commit that lost power may leave an empty or torn newest log file, which Delta reads as no commit at all."""
    entries = sorted((folder / "_delta_log").glob("*.json"))
    if not entries:
        return
    try:
        actions = [json.loads(line) for line in entries[-1].read_bytes().splitlines()]
    except ValueError:
        actions = []
    if not actions:
        why = "the newest entry of this table's log is torn; `diarynotes mend` makes the warehouse anew"
        raise StorageFailed(str(entries[-1]), why)


@contextmanager
def _failures(where: Path) -> Iterator[None]:
    from deltalake.exceptions import DeltaError
    from polars.exceptions import PolarsError

    try:
        yield
    except DeltaError as failure:
        raise StorageFailed(str(where), f"the Delta table failed ({_reason(failure)})") from failure
    except PolarsError as failure:
        raise StorageFailed(str(where), f"a Parquet file cannot be read ({type(failure).__name__})") from failure
    except OSError as failure:
        raise StorageFailed(str(where), _reason(failure)) from failure


def _reason(failure: Exception) -> str:
    """The innermost cause that a message tells: behind its last arrow or before the system's error number."""
    words = getattr(failure, "strerror", None) or str(failure) or type(failure).__name__
    innermost = re.sub(r"\x1b\[\d+m", "", words).split("↳")[-1].strip().splitlines()[0]
    told = re.search(r"([^:()]+) \(os error \d+\)", innermost)
    return (told.group(1) if told else innermost).strip()[:200]
