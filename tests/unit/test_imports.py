"""Who may import whom, read off the syntax trees: the rules of CONTRIBUTING.md, held by a machine."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "diarynotes"
STAGES = ("ingest", "audio", "validate", "transcribe", "diary", "cost", "store")
EDGES = ("cli", "export", "prefect_api", "settings", "agentops_tracker", "receive", "watch", "up", "__main__")
HELPERS = (
    *("models", "calls", "errors", "sandbox", "buckets", "observe", "telemetry", "testing", "word_errors"),
    *("forecast", "spending_advice"),
)


def module_name(path: Path) -> str:
    relative = path.relative_to(PACKAGE.parent).with_suffix("")
    return ".".join(part for part in relative.parts if part != "__init__")


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py")) if "migrations" not in path.parts}
IMPORTS = {name: set(imports_of(path)) for name, path in MODULES.items()}
OURS = {name: {found for found in found_all if found in MODULES} for name, found_all in IMPORTS.items()}


def part(name: str) -> str:
    """The stage, edge or helper that a module belongs to: its first name below the package."""
    return name.split(".")[1] if "." in name else ""


def test_every_module_belongs_to_a_known_part() -> None:
    assert {part(name) for name in MODULES} - {""} == {*STAGES, *EDGES, *HELPERS}


def test_nouns_and_errors_import_nothing_of_ours() -> None:
    assert not OURS["diarynotes.models"]
    assert not OURS["diarynotes.errors"]


def test_stages_know_no_other_stage_no_settings_and_no_prefect() -> None:
    for name, found in OURS.items():
        if part(name) in STAGES:
            strangers = {part(other) for other in found} - {"", part(name), *HELPERS}
            assert not strangers, f"{name} imports {strangers}"


def test_helpers_know_no_stage() -> None:
    allowed = {"testing": {"transcribe", "diary", "store"}}  # fakes are typed like what they stand for
    for name, found in OURS.items():
        if part(name) in HELPERS:
            strangers = {part(other) for other in found} - {"", *HELPERS} - allowed.get(part(name), set())
            assert not strangers, f"{name} imports {strangers}"


def test_prefect_is_known_in_one_module_of_the_package() -> None:
    knowing = {name for name, found in IMPORTS.items() if any(other.split(".")[0] == "prefect" for other in found)}
    assert knowing == {"diarynotes.prefect_api"}


def test_stages_do_not_read_the_environment() -> None:
    for name, path in MODULES.items():
        if part(name) in STAGES:
            assert "os.environ" not in path.read_text(), name


def test_no_cycles() -> None:
    TopologicalSorter({name: found - {name} for name, found in OURS.items()}).prepare()


def test_importing_the_command_line_brings_in_nothing_heavy() -> None:
    code = "import sys, diarynotes.cli; print(*(name for name in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    heavy = "prefect torch whisper librosa polars duckdb sqlmodel sqlalchemy great_expectations openai av onnxruntime"
    assert not set(loaded) & set(heavy.split())
