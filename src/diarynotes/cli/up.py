"""`diarynotes up`: Prefect's server, a worker and the folder watcher on this machine, with one command."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click

from diarynotes.cli.signals import on_leaving
from diarynotes.settings import load_settings


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Where Prefect's API and UI listen (default: a free port).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line for everything that happens.")
@click.pass_obj
def up(home: str | None, port: int | None, as_json: bool) -> None:
    """Keep everything running on this machine: drop a recording into the folder, and its note is there.

    Starts Prefect's server, a worker and the folder watcher, and runs until Ctrl-C. Its UI shows every run; what it
    asks for lies in a file that only you can read.
    """
    from diarynotes.up.running import run_up

    def tell(event: str, facts: dict[str, Any]) -> None:
        lines = [json.dumps({"event": event, **facts}, ensure_ascii=False)] if as_json else _describe(event, facts)
        with suppress(OSError):  # the terminal may have been closed; all has to be stopped in order all the same
            for line in lines:
                click.echo(line)

    with _stopping_in_order() as stopping:
        run_up(load_settings(home=home), port or 0, tell, stopping)
    tell("stopped", {})


def _describe(event: str, facts: dict[str, Any]) -> Iterator[str]:
    name = "".join(sign if sign.isprintable() else "?" for sign in facts.get("file", ""))
    if event == "starting":
        yield "Starting; this takes about half a minute the first time …" if facts["first"] else "Starting …"
    elif event == "up":
        yield f"Prefect's UI: {facts['ui']}  (its password is the line in {facts['auth_file']})"
        yield from (
            f"Drop recordings into {folder}/{facts['owner']}; somebody else's into a folder beside it with their name."
            for folder in facts["drop_into"]
        )
        yield "Ctrl-C stops."
    elif event == "landed":
        yield f"landed     {facts['day']}  {name}  ({facts['seconds']:.1f} s)"
    elif event == "known":
        yield f"known      {name}: the same recording as {facts['same_as']}"
    elif event == "set_aside":
        yield f"set aside  {name}: {facts['message']} ({facts['code']})"
    elif event == "ended":
        happened = f"could not be started ({facts['why']}) and is tried" if facts["why"] else "has ended and is started"
        yield f"The {facts['what']} {happened} again in {facts['again_in_s']:g} s; see {facts['log']}"
    elif event == "stopping":
        yield "Stopping; again Ctrl-C leaves at once."
    elif event == "stopped":
        yield "Stopped. What had landed stays; what had not is gone on with next time."


@contextmanager
def _stopping_in_order() -> Iterator[threading.Event]:
    """An event that Ctrl-C, a closed terminal and `kill` set; a second one leaves at once, and the children follow."""
    stopping = threading.Event()

    def stop() -> None:
        if stopping.is_set():
            os._exit(130)
        stopping.set()

    with on_leaving(stop):
        yield stopping


COMMANDS = (up,)
