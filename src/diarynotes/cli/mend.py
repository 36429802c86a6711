"""`diarynotes mend`: Postgres and the warehouse hold the same again, whichever of them was lost, cut or restored."""

from __future__ import annotations

import json
import sys

import click

from diarynotes.settings import load_settings


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what differs, and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def mend(home: str | None, dry_run: bool, as_json: bool) -> None:
    """Make Postgres and the warehouse agree. Exit status 1 where they differ still.

    What Postgres has forgotten, because an older copy of it was restored, comes back out of the warehouse (every run
    begins by this, too). Where they differ otherwise the warehouse is made anew from Postgres.
    """
    from diarynotes.store import open_store

    settings = load_settings(home=home)
    with open_store(settings.database_url, settings.home) as store:
        found = store.verify()
        torn = any(each.code == "warehouse_torn" for each in found)
        forgotten = [] if torn or not found else store.forgotten()
        if found and not dry_run:
            store.mend()
            store.snapshot()
        left = store.verify() if found and not dry_run else found
    if as_json:
        told = {"differences": len(found), "forgotten": len(forgotten), "left": len(left)}
        click.echo(json.dumps(told))
    elif not found:
        click.echo("Postgres and the warehouse agree.")
    else:
        click.echo(f"{len(found)} differences, such as: {found[0].message}")
        if forgotten:
            click.echo(f"Postgres had forgotten {len(forgotten)} recordings, as an older copy of it has.")
        if not dry_run:
            click.echo("They agree now." if not left else f"{len(left)} are left, such as: {left[0].message}")
    sys.exit(1 if left else 0)


COMMANDS = (mend,)
