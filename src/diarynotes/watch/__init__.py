"""Watches folders: a file that nobody writes to any more becomes a drop in the inbox.

`settling` tells when a file is complete; `folders` hears of files, and keeps their drops.
"""

from __future__ import annotations

from diarynotes.watch.folders import Folder, Watch, make_folder
from diarynotes.watch.settling import SETTLE_S, Settling, is_unfinished

__all__ = ["SETTLE_S", "Folder", "Settling", "Watch", "is_unfinished", "make_folder"]
