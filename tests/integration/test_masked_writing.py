"""A chain with a writer behind an API, from the settings to the note: what it is sent, what is left when it fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from diarynotes.cli import main
from diarynotes.diary import Private, Writer, open_writers, write_note
from diarynotes.diary.api_writer import ApiWriter
from diarynotes.errors import BadSettings
from diarynotes.models import Segment, Transcript
from diarynotes.settings import load_settings
from tests.integration import vendor_server as vs

DAY = date(2026, 11, 21)
KEY = "sk-very-secret-1234567890"
SAID = (
    "I planted twelve tomatoes with Anna this morning.",
    "Her new number is 0171 2345678 and her mail is anna dot weber at example dot com.",
    "On Monday I want to write to Zaphod about the hose.",
)
PRIVATE = ("Anna", "2345678", "weber", "example", "Zaphod")


@pytest.fixture
def vendor() -> Iterator[Any]:
    with vs.serve() as running:
        yield running


def transcript() -> Transcript:
    segments = tuple(Segment(float(n), n + 1.0, text) for n, text in enumerate(SAID))
    return Transcript("t", "r", "file", "", "en", segments, 1.0)


def echo(seen: Any) -> Any:
    """A model that writes down every numbered line as it is."""
    lines = [line for line in seen.body["messages"][-1]["content"].splitlines() if line[:1].isdigit()]
    numbered = [line.split(" | ", 1) for line in lines]
    body = [{"text": text, "segments": [int(number)]} for number, text in numbered]
    return vs.openai_says(vs.NOTE | {"body": body, "people": [], "todos": [], "summary": body[0]["text"]})


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server on this machine passes for one that is not ours."""
    monkeypatch.setattr(ApiWriter, "local", property(lambda _: False))


def open_chain(request: pytest.FixtureRequest, vendor: Any, **options: Any) -> tuple[Writer, ...]:
    writers = open_writers(["openai"], make_options(vendor), **options)
    for writer in writers:
        request.addfinalizer(writer.close)
    return writers


def make_options(vendor: Any) -> dict[str, dict[str, Any]]:
    given = {"model": "gpt-5.4-mini", "api_key": KEY, "base_url": f"{vendor.url}/v1", "name": "openai"}
    return {"openai": given}


@pytest.mark.usefixtures("elsewhere")
def test_a_writer_elsewhere_sees_placeholders_and_the_note_has_the_words(
    request: pytest.FixtureRequest, vendor: Any
) -> None:
    vendor.answers = [echo]
    writers = open_chain(request, vendor)

    note = write_note(transcript(), day=DAY, writers=writers, private=Private(names=("Zaphod",), region="DE"))

    sent = json.dumps(vendor.seen[0].body)
    assert not [word for word in PRIVATE if word.casefold() in sent.casefold()]
    assert [sentence.text for sentence in note.draft.body] == list(SAID)
    assert (note.writer, note.degraded) == ("openai", False)


def test_a_writer_on_ones_own_machine_sees_what_was_said(request: pytest.FixtureRequest, vendor: Any) -> None:
    vendor.answers = [echo]
    writers = open_chain(request, vendor, cloud=False)

    note = write_note(transcript(), day=DAY, writers=writers)

    assert "Zaphod" in json.dumps(vendor.seen[0].body)
    assert note.writer == "openai"


@pytest.mark.usefixtures("elsewhere")
def test_nothing_leaves_the_machine_where_that_is_forbidden(vendor: Any) -> None:
    with pytest.raises(BadSettings, match="cloud is off"):
        open_writers(["openai"], make_options(vendor), cloud=False)
    assert vendor.seen == []


@pytest.mark.usefixtures("elsewhere")
def test_a_note_arrives_when_the_writer_fails_and_what_that_cost_is_booked(
    request: pytest.FixtureRequest, vendor: Any
) -> None:
    vendor.answers = [vs.openai_says("this is no note", tokens=(100, 50, 0))]
    writers = open_chain(request, vendor)

    note = write_note(transcript(), day=DAY, writers=writers)

    assert (note.writer, note.degraded) == ("extractive", True)
    assert note.draft.body
    assert "writer_failed" in [finding.code for finding in note.findings]
    assert sum(usage.input_tokens for usage in note.draft.usage) == 200  # the answer, and its repair


def test_keys_come_from_the_names_that_vendors_use_and_are_never_shown(tmp_path: Path) -> None:
    settings = load_settings({"OPENAI_API_KEY": KEY, "DIARYNOTES_ANTHROPIC_API_KEY": "other"}, home=tmp_path)

    assert settings.writer_options["openai"]["api_key"] == KEY
    assert settings.writer_options["anthropic"]["api_key"] == "other"
    assert settings.writer_options["mistral"]["api_key"] is None
    assert KEY not in repr(settings)


@pytest.mark.parametrize("name", ["openai", "mistral", "anthropic"])
def test_a_writer_without_its_key_says_which_to_set(tmp_path: Path, name: str) -> None:
    settings = load_settings({}, home=tmp_path)

    with pytest.raises(BadSettings, match=f"needs a key; set DIARYNOTES_{name.upper()}_API_KEY"):
        open_writers([name], settings.writer_options)


def test_mistral_is_reached_where_it_is_with_a_key(tmp_path: Path) -> None:
    options = load_settings({"MISTRAL_API_KEY": KEY}, home=tmp_path).writer_options["mistral"]

    assert (options["base_url"], options["api_key"]) == ("https://api.mistral.ai/v1", KEY)


@pytest.fixture
def file(vendor: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A transcript on disk, and a vendor for the command line."""
    vendor.answers = [echo]
    file = tmp_path / "said.txt"
    file.write_text("\n".join(SAID))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", f"{vendor.url}/v1")
    monkeypatch.setenv("DIARYNOTES_HOME", str(tmp_path))
    return file


def test_the_command_line_writes_with_it(vendor: Any, file: Path) -> None:
    result = CliRunner().invoke(main, ["write", str(file), "--writer", "openai", "--day", "2026-11-21", "--json"])

    assert result.exit_code == 0, result.output
    note = json.loads(result.output)
    assert note["writer"] == "openai"
    assert vendor.seen[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in result.output


def test_the_command_line_goes_before_an_owners_own_settings(vendor: Any, file: Path, tmp_path: Path) -> None:
    (tmp_path / "diarynotes.toml").write_text('[owners.me]\nwriters = "extractive"\nprompt_style = "todo"\n')
    asked = ["write", str(file), "--writer", "openai", "--prompt-style", "meeting", "--json"]
    result = CliRunner().invoke(main, asked)
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["writer"] == "openai"
    assert "meeting" in vendor.seen[0].body["messages"][0]["content"]


def test_a_transcript_in_a_place_that_must_stay_here_is_sent_to_nobody(vendor: Any, file: Path, tmp_path: Path) -> None:
    (tmp_path / "diarynotes.toml").write_text(f'local_only = ["{tmp_path}"]\n')
    result = CliRunner().invoke(main, ["write", str(file), "--writer", "openai", "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["writer"] == "extractive"
    assert vendor.seen == []


def test_a_person_may_see_what_another_machine_would(vendor: Any, file: Path) -> None:
    asked = ["write", str(file), "--writer", "extractive", "--masked"]
    shown = json.loads(CliRunner().invoke(main, [*asked, "--json"]).output)["masked_text"]
    assert len(shown) == len(SAID)
    assert "Anna" not in str(shown)
    assert "[PERSON_1]" in shown[0]
    assert "[PERSON_1]" in CliRunner().invoke(main, asked).output
    assert vendor.seen == []
