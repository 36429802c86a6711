"""`diarynotes doctor`: tries every part for real, and says what is missing and how to get it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click

from diarynotes.cli.console import print_table, say
from diarynotes.cli.examples import examples_folder
from diarynotes.errors import DiarynotesError, ModelUnavailable, WriterFailed
from diarynotes.observe import Event, listening
from diarynotes.settings import Settings, load_settings

_CLIP = "2026-05-23T09-15-00.wav"
"""The example that each engine transcribes."""

_REMEDY = "`diarynotes mend` makes the warehouse anew from Postgres. While recordings land, look twice first."
_REMEDY_FORGOTTEN = (
    "The warehouse holds more than Postgres has ever counted up to: an older copy of the database was restored. "
    "`diarynotes mend`, and the next run, bring back what it has forgotten."
)


@dataclass(frozen=True, slots=True)
class Check:
    """One part that was tried; `status` is ok, missing (works without it) or failed, `remedy` says what to do."""

    name: str
    status: str
    detail: str
    remedy: str = ""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def doctor(home: str | None, as_json: bool) -> None:
    """Try every part of diarynotes, and say what is missing and how to get it. Exit status 1 if a part fails."""
    settings = load_settings(home=home)
    checks: list[Check] = []
    for examine in (_check_ffmpeg, _check_formats, _check_store, _check_prefect, _check_engines, _check_writers):
        if not as_json:
            say(f"… {examine.__doc__}")
        checks.extend(_tried(examine, settings))
    failed = any(check.status == "failed" for check in checks)
    if as_json:
        click.echo(json.dumps({"ok": not failed, "checks": [asdict(check) for check in checks]}, ensure_ascii=False))
    else:
        rows = [
            (check.name, check.status, check.detail + (f"\n{check.remedy}" if check.remedy else "")) for check in checks
        ]
        print_table("", ("part", "status", "what was seen"), rows)
        click.echo("Something does not work; see above." if failed else "All is well.")
    sys.exit(1 if failed else 0)


def _tried(examine: Callable[[Settings], Iterator[Check]], settings: Settings) -> Iterator[Check]:
    """The checks of one part; an error of ours becomes a failed check."""
    try:
        yield from examine(settings)
    except DiarynotesError as error:
        yield Check(str(examine.__doc__), "failed", str(error))


def _check_ffmpeg(_: Settings) -> Iterator[Check]:
    """the decoder"""
    from diarynotes.audio import ffmpeg_version, known_holes

    holes = known_holes()
    yield Check(
        "decoder",
        "failed" if holes else "ok",
        f"FFmpeg {ffmpeg_version()}" + (f" with known holes: {', '.join(holes)}" if holes else ""),
        "pip install --upgrade av" if holes else "",
    )


def _check_formats(settings: Settings) -> Iterator[Check]:
    """the sandbox and every format"""
    from diarynotes.sandbox import Sandbox
    from diarynotes.validate import Limits
    from flows.hearing import Errand, examine

    clips = [clip for clip in sorted(examples_folder().iterdir()) if clip.is_file()]
    errands = [Errand(clip, settings.spool, Limits(), settings.zone) for clip in clips]
    with Sandbox(workers=settings.worker_count) as sandbox:
        missing = sandbox.missing_protections()
        yield Check(
            "sandbox",
            "missing" if missing else "ok",
            f"children run without: {', '.join(missing)}" if missing else "children are fully confined",
        )
        outcomes = list(sandbox.map(examine, errands, wall_s=settings.decode_timeout_s))
    decoded = {
        outcome[0].container + "/" + outcome[0].codec for outcome in outcomes if not isinstance(outcome, Exception)
    }
    wanted = {clip.suffix for clip, outcome in zip(clips, outcomes, strict=True) if not isinstance(outcome, Exception)}
    absent = {".mp3", ".wav", ".m4a", ".flac", ".ogg", ".opus", ".webm"} - wanted
    yield Check(
        "formats",
        "failed" if absent else "ok",
        f"not decoded: {', '.join(sorted(absent))}" if absent else ", ".join(sorted(decoded)),
        "pip install --force-reinstall av" if absent else "",
    )


def _check_store(settings: Settings) -> Iterator[Check]:
    """the database and the warehouse"""
    from diarynotes.store import open_store

    with open_store(settings.database_url, settings.home) as store:
        counts = store.jobs.count()
        kind = "embedded Postgres" if settings.database_url is None else "Postgres at DIARYNOTES_DATABASE_URL"
        yield Check("database", "ok", f"{kind}, {sum(counts.values())} recordings, {counts.get('landed', 0)} landed")
        findings = store.verify()
        if not findings:
            yield Check("warehouse", "ok", "equals Postgres")
            return
        torn = any(finding.code == "warehouse_torn" for finding in findings)
        forgotten = [] if torn else store.forgotten()
        differs = f"{len(findings)} differences from Postgres, such as: {findings[0].message}"
        yield Check("warehouse", "failed", differs, _REMEDY_FORGOTTEN if forgotten else _REMEDY)


def _check_prefect(_: Settings) -> Iterator[Check]:
    """Prefect"""
    import urllib.error
    import urllib.request

    from diarynotes.prefect_api import configured_url

    url = configured_url()
    if url is None:
        yield Check("prefect", "ok", "no API is configured: each run starts a temporary one")
        return
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5):  # noqa: S310
            yield Check("prefect", "ok", f"the API at {url} answers")
    except (urllib.error.URLError, OSError) as error:
        yield Check("prefect", "failed", f"the API at {url} does not answer: {error}", "prefect server start")


def _check_engines(settings: Settings) -> Iterator[Check]:
    """the speech engines"""
    from diarynotes.transcribe import ENGINES
    from flows.engines import Engines, Wishes

    told: list[Event] = []
    with listening(told.append), closing(Engines(replace(settings, fetch_models=False))) as engines:
        for name in ENGINES:
            yield _check_engine(settings, engines, Wishes(name, settings.model, "en", ()))
    for event in told:
        if event.name == "engine_chosen":  # a model that stands in for another, a device that does not work
            yield Check("engine choice", "missing", event.facts["reason"])


def _check_engine(settings: Settings, engines: Any, wishes: Any) -> Check:
    """One engine with the model that an ordinary recording gets."""
    name = f"engine {wishes.engine}"
    try:
        lent = engines.borrow(wishes, "normal", 0.0)
    except ModelUnavailable as error:
        return Check(name, "missing", f"there are no weights of {error.model} on disk", error.remedy)
    try:
        with lent as engine:
            words = _transcribe_clip(settings, engine)
            return Check(
                name, "ok" if words else "failed", f"heard {words} words in the example clip with {engine.model}"
            )
    except DiarynotesError as error:
        return Check(name, "failed", str(error))


def _transcribe_clip(settings: Settings, engine: Any) -> int:
    from diarynotes.audio import decode
    from diarynotes.transcribe import Heard, transcribe_recordings
    from diarynotes.transcribe.vad import find_speech

    audio = decode(_clip(), spool=settings.spool, zone=settings.zone).open()
    (_, result), *_ = transcribe_recordings(engine, [Heard("clip", audio, find_speech(audio))])
    if isinstance(result, Exception):
        raise result
    return len(result.text.split())


def _clip() -> Path:
    return examples_folder() / _CLIP


def _check_writers(settings: Settings) -> Iterator[Check]:
    """the writers"""
    from datetime import date

    from diarynotes.diary import write_note
    from diarynotes.models import Segment, Transcript
    from flows.writers import Writers, describe_writer

    said = Transcript("t", "r", "none", "none", "en", (Segment(0, 2, "I walked to the river this morning."),), 1.0)
    with closing(Writers(settings)) as writers:
        writers.check(())
        for writer in writers.chain(settings.owner):
            name = f"writer {describe_writer(writer)}"
            try:
                note = write_note(said, day=date(2026, 5, 24), writers=[writer])
            except WriterFailed as error:
                yield Check(name, "missing", str(error), "Until it answers, the next writer of the chain does.")
            else:
                yield Check(name, "ok" if note.draft.body else "failed", f"wrote {len(note.draft.body)} sentence")


COMMANDS = (doctor,)
