"""The embedded Postgres: who starts it, who stops it, and what it survives."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from sqlalchemy.engine import make_url

from diarynotes.errors import BadSettings, StorageFailed
from diarynotes.store.embedded import start_embedded, stop_embedded
from diarynotes.up.database import Database
from tests.waiting import PATIENCE_S, wait_for

pytest_plugins = ["tests.integration.store_fixtures"]

Child = Callable[..., "subprocess.Popen[str]"]

START = """
import sys
from pathlib import Path
from diarynotes.store import start_embedded
print(start_embedded(Path(sys.argv[1])), flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "postgres"
    yield place
    stop_embedded(place)


def server_of(folder: Path) -> int:
    return int((folder / "data" / "postmaster.pid").read_text().split()[0])


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def ask(url: str, question: str) -> object:
    address = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address, autocommit=True) as connection:
        cursor = connection.execute(question)  # type: ignore[call-overload]
        return cursor.fetchone()[0] if cursor.description else None


def end(process: subprocess.Popen[str]) -> None:
    process.communicate("\n", timeout=PATIENCE_S)
    assert process.returncode == 0


def test_processes_that_start_together_share_one_server(folder: Path, child: Child) -> None:
    starters = [child(START, folder) for _ in range(3)]
    urls = {each.stdout.readline() for each in starters if each.stdout}
    assert len(urls) == 1
    server = server_of(folder)
    end(starters[0])
    assert ask(urls.pop(), "select 1") == 1, "the others still use it"
    end(starters[1])
    end(starters[2])
    assert not runs(server), "the last one out stops it"


def test_a_second_use_in_one_process_counts(folder: Path) -> None:
    url = start_embedded(folder)
    assert start_embedded(folder) == url
    stop_embedded(folder)
    assert ask(url, "select 1") == 1
    stop_embedded(folder)
    assert not (folder / "data" / "postmaster.pid").exists()
    stop_embedded(folder)


def test_a_killed_starter_leaves_the_server_to_the_next(folder: Path, child: Child) -> None:
    starter = child(START, folder)
    assert starter.stdout is not None
    starter.stdout.readline()
    server = server_of(folder)
    starter.kill()
    starter.wait()
    assert runs(server)
    start_embedded(folder)
    assert server_of(folder) == server
    stop_embedded(folder)
    assert not runs(server), "the killed starter does not count as a user"


def test_a_killed_server_comes_back_with_what_was_committed(folder: Path) -> None:
    ask(start_embedded(folder), "create table kept as select 42 as answer")
    server = server_of(folder)
    os.kill(server, signal.SIGKILL)
    url = start_embedded(folder)
    assert server_of(folder) != server
    assert ask(url, "select answer from kept") == 42
    stop_embedded(folder)


def test_one_that_is_kept_running_is_found_dead_started_again_and_stopped_by_one_word(folder: Path) -> None:
    database = Database(folder)
    assert not database.is_running
    database.start()
    try:
        url = database.url
        assert ask(url, "select 1") == 1
        assert database.pid is not None
        os.kill(database.pid, signal.SIGKILL)
        wait_for(lambda: not database.is_running)
        database.start()
        assert (database.is_running, database.url) == (True, url)
        assert ask(url, "select 1") == 1
    finally:
        database.stop()
    assert not database.is_running


def test_a_pid_file_that_names_a_stranger_is_not_believed(folder: Path) -> None:
    start_embedded(folder)
    left = (folder / "data" / "postmaster.pid").read_text().split("\n")
    stop_embedded(folder)
    (folder / "data" / "postmaster.pid").write_text("\n".join([str(os.getpid()), *left[1:]]))
    assert ask(start_embedded(folder), "select 1") == 1


def test_a_foreign_client_is_not_cut_off(folder: Path) -> None:
    url = make_url(start_embedded(folder)).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as client:
        stop_embedded(folder)
        assert client.execute("select 1").fetchone() == (1,)
    start_embedded(folder)


def test_a_process_that_ends_without_closing_leaves_no_server(tmp_path: Path, child: Child) -> None:
    careless = child(
        "import sys; from pathlib import Path; from diarynotes.store import open_store;"
        "store = open_store(None, Path(sys.argv[1])); store.jobs.claim('received'); sys.stdin.readline()",
        tmp_path,
    )
    end(careless)
    assert not (tmp_path / "postgres" / "data" / "postmaster.pid").exists()


def test_a_half_made_cluster_is_made_again(folder: Path) -> None:
    (folder / "data-killed").mkdir(parents=True)
    (folder / "data").mkdir()
    (folder / "data" / "pg_hba.conf").touch()
    assert ask(start_embedded(folder), "select 1") == 1
    assert not (folder / "data-killed").exists()


@pytest.mark.parametrize("name", ["with a space, ü and 'quotes\"", "$(touch pwned) `x` %41 #?&", "long" * 40])
def test_any_folder_will_do(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name / "postgres"
    url = start_embedded(folder)
    try:
        assert ask(url, "show server_encoding") == "UTF8"
        assert Path(str(make_url(url).query["host"])).stat().st_mode & 0o077 == 0, "nobody else may connect"
    finally:
        stop_embedded(folder)
    assert not Path(str(make_url(url).query["host"]), ".s.PGSQL.5432").exists()


def test_whoever_knows_the_url_finds_the_server_again(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 40) / "postgres"
    url = start_embedded(folder)
    os.kill(server_of(folder), signal.SIGKILL)
    assert start_embedded(folder) == url
    assert ask(url, "select 42") == 42
    for _ in range(2):
        stop_embedded(folder)
    sockets = Path(str(make_url(url).query["host"]))
    assert not sockets.exists()
    assert start_embedded(folder) == url
    assert ask(url, "select 42") == 42
    stop_embedded(folder)
    sockets.mkdir()  # as somebody else may have by now, for all to enter
    other = start_embedded(folder)
    try:
        assert other != url
        assert ask(other, "select 42") == 42
    finally:
        stop_embedded(folder)
        sockets.rmdir()


def test_a_line_break_in_the_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSettings):
        start_embedded(tmp_path / "a\nb")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageFailed, match="file") as caught:
        start_embedded(tmp_path / "file" / "postgres")
    assert str(tmp_path) in str(caught.value)


def test_a_server_that_does_not_start_says_why(folder: Path) -> None:
    start_embedded(folder)
    stop_embedded(folder)
    (folder / "data" / "PG_VERSION").write_text("9\n")
    with pytest.raises(StorageFailed, match="incompatible") as caught:
        start_embedded(folder)
    assert str(folder) in str(caught.value)
    stop_embedded(folder)
