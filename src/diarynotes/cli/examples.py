"""Where the spoken examples lie: in `examples/` of a checkout, else in the environment's `share/`."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import diarynotes
from diarynotes.errors import NotInstalled


def examples_folder() -> Path:
    """The folder of spoken notes. Raises: NotInstalled where this installation came without them."""
    checkout = Path(diarynotes.__file__).parents[2] / "examples" / "voice-notes"
    for folder in (checkout, Path(sysconfig.get_path("data")) / "share" / "diarynotes" / "voice-notes"):
        if folder.is_dir():
            return folder
    raise NotInstalled("The folder of example recordings", "pip install --force-reinstall diarynotes")
