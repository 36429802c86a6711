"""`diarynotes watch`: puts recordings that are dropped into folders into the inbox."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from diarynotes.cli.console import say
from diarynotes.cli.serving import find_teller, show_log, stopping_in_order
from diarynotes.settings import Settings, load_settings, make_home

if TYPE_CHECKING:
    from diarynotes.watch import Folder


@click.command()
@click.argument("folders", nargs=-1, metavar="[FOLDER…]")
@click.option("--owner", metavar="NAME", help="Whose recordings they are (default: the setting).")
@click.option("--poll", is_flag=True, help="Look through the folders again and again: for network file systems.")
@click.pass_obj
def watch(home: str | None, folders: tuple[str, ...], owner: str | None, poll: bool) -> None:
    """Put every recording that is dropped into FOLDER, or anywhere below it, into the inbox.

    Without FOLDER the bucket in the home is watched, where each first folder is an owner's. What came before is found,
    too. What lies in the inbox is worked off by `pick-up`, which Prefect starts when it is told.
    """
    settings = load_settings(home=home)
    make_home(settings)
    watch_folders(settings, _find_folders(settings, folders, owner), poll=poll)


def watch_folders(settings: Settings, folders: Sequence[Folder], *, poll: bool = False) -> None:
    """Watches until Ctrl-C or `kill`. Raises: StorageFailed."""
    from diarynotes.receive.inbox import Inbox
    from diarynotes.store import open_store
    from diarynotes.watch import Watch

    show_log()
    with stopping_in_order() as stopping, open_store(settings.database_url, settings.home) as store:

        def known(uris: Sequence[str], owner: str) -> dict[str, Any]:
            return store.known_sources(uris, owner=owner)

        with Inbox(store.drops.put, find_teller()) as inbox:
            for folder in folders:
                say(f"Watching {folder.path}. Ctrl-C stops.")
            Watch(folders, inbox.put, known).run(stopping, poll=poll)


def _find_folders(settings: Settings, paths: Sequence[str], owner: str | None) -> list[Folder]:
    from diarynotes.watch import make_folder

    if paths:
        return [make_folder(path, settings.owner, owner or settings.owner) for path in paths]
    bucket = settings.home / "bucket"
    bucket.mkdir(mode=0o700, exist_ok=True)
    return [make_folder(str(bucket), settings.owner, owner)]


COMMANDS = (watch,)
