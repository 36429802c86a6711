"""Shows that what is asked opens no connection."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest


def refuse_connections(patch: pytest.MonkeyPatch) -> list[object]:
    """From now on no connection can be opened; the list tells to whom one was wanted.

    Threads that are there already may go on: Prefect's, which earlier tests have left, talk to its server when they
    like, and would fail in the middle of a test that is not theirs.
    """
    others = {thread.ident for thread in threading.enumerate()} - {threading.get_ident()}
    connect, wanted = socket.socket.connect, list[object]()

    def refuse(self: socket.socket, address: Any) -> None:
        if threading.get_ident() in others:
            connect(self, address)
            return
        wanted.append(address)
        raise AssertionError("a connection was opened")

    patch.setattr(socket.socket, "connect", refuse)
    return wanted
