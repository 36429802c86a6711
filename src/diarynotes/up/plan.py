"""What one `up` is to be, decided before anything is started: its port, secrets, pools, folders and deployments."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from diarynotes.buckets.places import local_path
from diarynotes.errors import BadSettings
from diarynotes.prefect_api import past_proxies
from diarynotes.settings import Settings
from diarynotes.up.deploying import Deployments, read_deployments
from diarynotes.up.keys import Keys, load_keys
from diarynotes.up.server import client_environment


@dataclass(frozen=True, slots=True)
class Plan:
    """`folder` is where Prefect's things lie, `watched` are buckets, `slots` says how many runs a pool has at once."""

    folder: Path
    keys: Keys
    port: int
    slots: Mapping[str, int]
    watched: Sequence[str]
    deployments: Deployments
    direct: Mapping[str, str]
    """The part of an environment that keeps proxies away from our server."""
    as_client: Mapping[str, str]
    """What those are started with who talk to it."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def make_plan(settings: Settings, port: int) -> Plan:
    """With `port` 0 it is that of last time. Raises: BadSettings, StorageFailed."""
    folder = settings.home / "prefect"
    keys = load_keys(folder)
    port = find_port(folder, port)
    direct = past_proxies(os.environ)
    return Plan(
        folder,
        keys,
        port,
        slots={"cpu": settings.run_slots, "gpu": 1},
        watched=list(find_local_buckets(settings)),
        deployments=read_deployments(settings.zone),
        direct=direct,
        as_client={**client_environment(port, keys, folder), **direct, "DIARYNOTES_HOME": str(settings.home)},
    )


def find_local_buckets(settings: Settings) -> Iterator[str]:
    """The buckets that are folders on this machine; the one under the home is made where there is none.

    Raises: BadSettings where one that is named is not there.
    """
    if not settings.buckets:
        bucket = settings.home / "bucket"
        (bucket / settings.owner).mkdir(mode=0o700, parents=True, exist_ok=True)
        yield str(bucket)
    for bucket_name in settings.buckets:
        if "://" not in bucket_name or bucket_name.startswith("file://"):
            folder = local_path(bucket_name)
            if not folder.is_dir():
                raise BadSettings("buckets", f"there is no folder {folder}")
            yield str(folder)


def find_port(folder: Path, wanted: int = 0) -> int:
    """The one that is wanted, else that of last time, so that bookmarks and the login of a browser stay good.

    Where that is taken or there is none, a free one. Raises: BadSettings where the wanted one is taken.
    """
    remembered = folder / "port"
    port = _check_port(wanted) if wanted else _port_of_last_time(remembered) or _free_port()
    with suppress(OSError):
        remembered.write_text(f"{port}\n")
    return port


def _port_of_last_time(remembered: Path) -> int | None:
    try:
        return _check_port(int(remembered.read_text()))
    except (OSError, ValueError, OverflowError, BadSettings):
        return None


def _check_port(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise BadSettings("port", f"{port} cannot be used ({error.strerror})") from error
    return port


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
