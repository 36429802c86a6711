"""The command line. Commands live one file each beside this one; nothing heavy is imported until a command runs."""

from __future__ import annotations

import atexit
import logging
import os
import sys
from contextlib import suppress
from typing import Any, NoReturn

import click

from diarynotes.errors import BadSettings, DiarynotesError


class _Commands(click.Group):
    """Turns our own errors into a sentence on stderr and an exit status, at one place."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().main(*args, **kwargs)
        except DiarynotesError as error:
            click.echo(f"diarynotes: {error}", err=True)
            sys.exit(2 if isinstance(error, BadSettings) else 1)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="diarynotes", message="%(prog)s %(version)s")
@click.option("--home", metavar="FOLDER", help="Where diarynotes keeps its things (default: DIARYNOTES_HOME).")
@click.pass_context
def main(context: click.Context, home: str | None) -> None:
    """Voice notes in, a diary out.

    Point `run` at recordings; read the diary with `notes`, `show` and `query`; see what was set aside with `jobs`.
    """
    context.obj = home


def entry() -> NoReturn:
    """What the console script calls: `main`, then leaving at once.

    An ordinary exit frees every object of every library first, which takes up to a second and helps nobody.
    """
    status = 0
    try:
        main()
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    logging.shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # the reader of a pipe may be gone
            stream.flush()
    os._exit(status)


def _add_commands() -> None:
    from diarynotes.cli import (
        costs,
        demo,
        doctor,
        edit,
        evaluate,
        export,
        history,
        jobs,
        mend,
        models,
        query,
        read,
        receive,
        run,
        sent,
        up,
        upgrade,
        watch,
        write,
    )

    modules = (run, read, edit, history, query, jobs, costs, sent, write, upgrade, models, evaluate, export, doctor)
    for module in (*modules, demo, mend, watch, receive, up):
        for command in module.COMMANDS:
            main.add_command(command)


_add_commands()
