"""`diarynotes models`: which Whisper checkpoints there are, which of them lie here, and fetching one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from diarynotes.cli.console import print_table
from diarynotes.errors import BadSettings, ModelUnavailable
from diarynotes.settings import load_settings

if TYPE_CHECKING:
    from diarynotes.transcribe.download import Progress
    from diarynotes.transcribe.weights import Checkpoint


@click.group()
def models() -> None:
    """OpenAI's Whisper models by name: list them, fetch one, or ask where one lies."""


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@click.pass_obj
def list_(home: str | None, as_json: bool) -> None:
    """List the models, how large they are, and where those lie that are on disk."""
    from diarynotes.transcribe.weights import list_checkpoints

    folder = load_settings(home=home).models
    found = [_describe(checkpoint, folder) for checkpoint in list_checkpoints()]
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    rows = [(", ".join((entry["name"], *entry["aliases"])), entry["size_mb"], entry["path"]) for entry in found]
    print_table("", ("model", "MB", "on disk"), rows)


@models.command()
@click.argument("name")
@click.option("--mirror", metavar="URL", help="Fetch from URL/<sha256>/<file>.pt instead of from OpenAI.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, and no progress bar.")
@click.pass_obj
def pull(home: str | None, name: str, mirror: str | None, as_json: bool) -> None:
    """Fetch a model, checked against its published SHA-256; a download that broke off goes on where it stopped."""
    from diarynotes.transcribe.download import hash_file
    from diarynotes.transcribe.weights import find_checkpoint

    folder = load_settings(home=home).models
    checkpoint = find_checkpoint(name)
    path = checkpoint.find(folder)
    fetched = path is None
    if path is None:
        path = _fetch(name, folder, mirror, quiet=as_json)
    elif hash_file(path) != checkpoint.sha256:
        raise BadSettings(str(path), f"is not the published {name}. Move it away to fetch that; it is used as it is.")
    if as_json:
        click.echo(json.dumps({**_describe(checkpoint, folder), "fetched": fetched}, ensure_ascii=False))
    else:
        click.echo(f"{path}" if fetched else f"{path} was there already, and is as published.")


@models.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def path(home: str | None, name: str, as_json: bool) -> None:
    """Print where a model lies. Exit status 1 where it is not on disk."""
    from diarynotes.transcribe.weights import find_weights

    folder = load_settings(home=home).models
    found = find_weights(name, folder)
    if found is None:
        raise ModelUnavailable(name, f"Fetch it with: diarynotes models pull {name}")
    click.echo(json.dumps({"name": name, "path": str(found)}, ensure_ascii=False) if as_json else str(found))


def _describe(checkpoint: Checkpoint, folder: Path) -> dict[str, Any]:
    """What is known of a model; its size is the file's own where it is on disk, else about what is published."""
    found = checkpoint.find(folder)
    name = Path(checkpoint.file_name).stem
    return {
        "name": name,
        "aliases": [other for other in checkpoint.names if other != name],
        "size_mb": round(found.stat().st_size / 1e6) if found else checkpoint.size_mb,
        "path": str(found) if found else None,
        "sha256": checkpoint.sha256,
    }


def _fetch(name: str, folder: Path, mirror: str | None, *, quiet: bool) -> Path:
    from diarynotes.transcribe.weights import fetch_weights

    urls = _mirrored(mirror) if mirror else None
    if quiet:
        return fetch_weights(name, folder, urls=urls)
    with _progress_bar(name) as progress:
        return fetch_weights(name, folder, urls=urls, progress=progress)


def _mirrored(mirror: str) -> Mapping[str, str]:
    """The published files at another address; what they must hash to stays as published."""
    from diarynotes.transcribe.weights import published_urls

    if not mirror.startswith(("http://", "https://")):
        raise BadSettings("mirror", f"'{mirror}' is no address that begins with http:// or https://.")
    return {name: "/".join((mirror.rstrip("/"), *url.split("/")[-2:])) for name, url in published_urls().items()}


@contextmanager
def _progress_bar(name: str) -> Iterator[Progress]:
    """A bar on stderr with what is here, how fast it comes, and how long it will still take."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task(name, total=None)
        yield lambda done, total: bars.update(bar, completed=done, total=total)


COMMANDS = (models,)
