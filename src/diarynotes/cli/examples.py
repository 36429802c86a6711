"""Where the spoken examples lie: beside the package when it is installed, in `examples/` of a checkout."""

from __future__ import annotations

from pathlib import Path

import diarynotes
from diarynotes.errors import NotInstalled


def examples_folder() -> Path:
    """The folder of spoken notes. Raises: NotInstalled where this installation came without them."""
    package = Path(diarynotes.__file__).parent
    for folder in (package / "examples", package.parents[1] / "examples" / "voice-notes"):
        if folder.is_dir():
            return folder
    raise NotInstalled("The folder of example recordings", "pip install --force-reinstall diarynotes")
