"""Children find functions by module and name; those of a test module cannot be found, so `eval` does what is needed."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest

from diarynotes.audio import decode
from diarynotes.errors import DecoderCrashed, DecoderTimeout, SourceUnavailable
from diarynotes.models import Media, Quality
from diarynotes.sandbox import Sandbox, SandboxLimits
from diarynotes.sandbox.nursery import _load_answer
from tests.waiting import PATIENCE_S

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has these limits")
PID = "__import__('os').getpid()"
MEMORY_BYTES = 200_000_000


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(2, SandboxLimits(memory_bytes=MEMORY_BYTES, file_bytes=1_000_000)) as sandbox:
        yield sandbox


def find_family(sandbox: Sandbox) -> list[psutil.Process]:
    """The nursery of this sandbox and all its children."""
    nursery = psutil.Process(sandbox._nursery._process.pid)
    return [nursery, *nursery.children()]


def wait_for_end(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that stay; zombies whose parent is gone count as ended."""
    alive = psutil.wait_procs(processes, timeout=PATIENCE_S)[1]
    return [process for process in alive if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def test_results_come_in_order(sandbox: Sandbox) -> None:
    assert list(sandbox.map(abs, range(-50, 0), wall_s=30)) == list(range(50, 0, -1))


def test_work_is_done_elsewhere_by_as_many_as_were_asked_for(sandbox: Sandbox) -> None:
    pids = set(sandbox.map(eval, [PID, f"__import__('time').sleep(0.1) or {PID}"] * 10, wall_s=30))
    assert len(pids) == 2
    assert os.getpid() not in pids


def test_items_are_taken_lazily(sandbox: Sandbox) -> None:
    taken = []

    def items() -> Iterator[int]:
        for number in range(1_000):
            taken.append(number)
            yield number

    results = sandbox.map(abs, items(), wall_s=30)
    assert next(results) == 0
    assert len(taken) == 4
    del results
    assert list(sandbox.map(abs, [-1], wall_s=30)) == [1]


def test_what_failed_before_it_came_here_keeps_its_place(sandbox: Sandbox) -> None:
    gone = SourceUnavailable("/a.wav", "is no longer there")
    assert list(sandbox.map(abs, [-1, gone, -3], wall_s=30)) == [1, gone, 3]


def test_what_nobody_waits_for_any_more_is_dropped(sandbox: Sandbox) -> None:
    dropped: list[int] = []
    for _ in range(100):  # until one was under way and not yet to be begun
        answers = sandbox.map(eval, ["1", "2", "1 / 0", "4"], wall_s=300, drop=dropped.append)
        assert next(answers) == 1
        answers.close()
        assert list(sandbox.map(abs, [-5] * 8, wall_s=300)) == [5] * 8, "by now the others have ended, too"
        if dropped:
            break
    assert dropped
    assert set(dropped) <= {2, 4}


@pytest.mark.parametrize(
    ("death", "expected"),
    [
        ("__import__('os')._exit(0)", DecoderCrashed),
        ("__import__('signal').raise_signal(11)", DecoderCrashed),
        ("__import__('os').kill(__import__('os').getpid(), 9)", DecoderCrashed),
        ("__import__('sys').exit(1)", DecoderCrashed),
        ("__import__('ctypes').string_at(0)", DecoderCrashed),
        ("__import__('time').sleep(60)", DecoderTimeout),
        ("sum(range(10 ** 12))", DecoderTimeout),
        pytest.param("len(bytearray(1_000_000_000))", DecoderCrashed, marks=on_linux),
    ],
)
def test_a_death_costs_one_item(sandbox: Sandbox, death: str, expected: type[Exception]) -> None:
    items = ["1", death, "2", "3", "4"]
    before, died, *after = sandbox.map(eval, items, wall_s=lambda item: 1 if item == death else 300)
    assert (before, after) == (1, [2, 3, 4])
    assert type(died) is expected
    assert list(sandbox.map(abs, [-5], wall_s=30)) == [5]


@pytest.mark.parametrize("victims", ["children", "everybody"])
def test_children_that_are_killed_from_outside_are_replaced(victims: str) -> None:
    with Sandbox(2) as sandbox:
        assert list(sandbox.map(abs, [-1, -2], wall_s=30)) == [1, 2]
        family = find_family(sandbox)
        assert len(family) == 3
        for process in family if victims == "everybody" else family[1:]:
            process.kill()
        answers = list(sandbox.map(abs, [-1] * 6, wall_s=30))
        assert answers.count(1) >= 4  # each of two dead children was noticed when it was given work
        assert all(answer == 1 or isinstance(answer, DecoderCrashed) for answer in answers)
        assert list(sandbox.map(abs, [-1] * 4, wall_s=30)) == [1] * 4


def test_our_errors_arrive_as_themselves_and_others_with_their_traceback(sandbox: Sandbox, tmp_path: Path) -> None:
    (ours,) = sandbox.map(partial(decode, spool=tmp_path), [tmp_path / "gone.mp3"], wall_s=30)
    assert type(ours) is SourceUnavailable
    assert ours.uri == "gone.mp3"
    (other,) = sandbox.map(eval, ["1 / 0"], wall_s=30)
    assert type(other) is RuntimeError
    assert "ZeroDivisionError" in str(other)


@on_linux
def test_children_hold_none_of_our_sockets_and_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "hush")
    with socket.create_server(("127.0.0.1", 0)) as server, Sandbox(1) as sandbox:
        os.set_inheritable(server.fileno(), True)
        links = "[os.readlink(f'/proc/self/fd/{n}') for n in range(50) if os.path.exists(f'/proc/self/fd/{n}')]"
        look = f"(lambda os: ({links}, list(os.environ)))(__import__('os'))"
        ((files, environment),) = sandbox.map(eval, [look], wall_s=30)
    assert len([file for file in files if file.startswith("socket:")]) == 1  # the one that leads to us
    assert "SECRET_KEY" not in environment


@on_linux
def test_no_way_out(sandbox: Sandbox, tmp_path: Path) -> None:
    if "network" not in sandbox.missing_protections():
        with socket.create_server(("127.0.0.1", 0)) as server:
            (answer,) = sandbox.map(socket.create_connection, [server.getsockname()], wall_s=30)
        assert "unreachable" in str(answer)
    (answer,) = sandbox.map(partial(Path.write_bytes, data=bytes(2_000_000)), [tmp_path / "big"], wall_s=30)
    assert "File too large" in str(answer)
    assert (tmp_path / "big").stat().st_size == 1_000_000
    limits = "(lambda r: r.getrlimit(r.RLIMIT_CORE) + r.getrlimit(r.RLIMIT_CPU)[:1])(__import__('resource'))"
    ((soft, hard, cpu_s),) = sandbox.map(eval, [limits], wall_s=30)
    assert (soft, hard) == (0, 0)
    assert 30 <= cpu_s <= 35


@on_linux
def test_this_machine_gives_what_can_be_had_everywhere(sandbox: Sandbox) -> None:
    assert set(sandbox.missing_protections()) <= {"network", "niceness", "privileges"}


def run_as_nobody(script: str) -> subprocess.CompletedProcess[str]:
    script = "import os; os.setgid(65534); os.setuid(65534); os.environ['HOME'] = '/'\n" + script
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE_S)


@on_linux
@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else; others run all tests as themselves")
def test_it_works_without_being_root() -> None:
    if run_as_nobody("import diarynotes.sandbox, diarynotes.audio, encodings.idna").returncode:
        pytest.skip("the interpreter may only be read by root")
    done = run_as_nobody(SCRIPT)
    assert (done.stdout.split()[0], done.stderr) == ("[1]", "")


SCRIPT = """
from diarynotes.sandbox import Sandbox
with Sandbox(1) as sandbox:
    print(list(sandbox.map(abs, [-1], wall_s=30)), *sandbox.missing_protections())
"""


def test_a_script_needs_no_main_guard() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=PATIENCE_S)
    assert (done.stdout.split()[0], done.stderr) == ("[1]", "")


LONG = """
import os, psutil, sys, threading
from diarynotes.sandbox import Sandbox
with Sandbox(2) as sandbox:
    print(list(sandbox.map(abs, [-1, -2], wall_s=30)), flush=True)
    threading.Timer(0.5, lambda: print("working", flush=True)).start()
    list(sandbox.map(eval, ["__import__('time').sleep(100)"] * 3, wall_s=200))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_children_do_not_outlive_us_nor_complain(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", LONG], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stderr is not None
        assert parent.stdout.readline().strip() == b"[1, 2]"
        assert parent.stdout.readline().strip() == b"working"
        children = psutil.Process(parent.pid).children(recursive=True)
        assert len(children) == 3
        parent.send_signal(number)
        parent.wait(timeout=PATIENCE_S)
        assert parent.stderr.read().count(b"Traceback") == (number == signal.SIGINT)  # the parent's own
    assert wait_for_end(children) == []


def test_closing_waits_for_no_work_and_leaves_nobody() -> None:
    with Sandbox(2) as sandbox:
        results = sandbox.map(eval, ["0"] + ["__import__('time').sleep(3600)"] * 5, wall_s=7200)
        assert next(results) == 0
        family = find_family(sandbox)
        start = time.monotonic()
    assert time.monotonic() - start < PATIENCE_S
    assert wait_for_end(family) == []


def test_warming_up_is_shared_and_its_failure_is_told() -> None:
    with Sandbox(2, warm_up=partial(exec, "import sys; sys.warm = True")) as sandbox:
        assert list(sandbox.map(eval, ["__import__('sys').warm"] * 4, wall_s=30)) == [True] * 4
    with Sandbox(1, warm_up=partial(eval, "1 / 0")) as sandbox, pytest.raises(RuntimeError, match="ZeroDivisionError"):
        list(sandbox.map(abs, [1], wall_s=30))


@pytest.mark.parametrize(
    "value",
    [
        (Media("wav", "pcm_s16le", 1.0, 16_000, 1), Quality(1.0, 0.0, 30.0, 0.0, 7000.0, ("quiet",))),
        {"a": [1, 2.5, None, "text", b"bytes", {3}, Path("x")]},
        SourceUnavailable("a.mp3", "gone"),
    ],
)
def test_plain_values_and_our_nouns_come_out(value: object) -> None:
    assert repr(_load_answer(pickle.dumps(value))) == repr(value)


def test_arrays_come_out(sandbox: Sandbox) -> None:
    expected = np.arange(6, dtype=np.float32).reshape(2, 3)
    (found,) = sandbox.map(np.array, [expected], wall_s=30)
    assert np.array_equal(found, expected)
    assert found.dtype == expected.dtype


@pytest.mark.parametrize("value", [os.system, eval, subprocess.Popen, Sandbox])
def test_what_could_run_code_here_does_not_come_out(value: object) -> None:
    with pytest.raises(pickle.UnpicklingError):
        _load_answer(pickle.dumps(value))


def test_an_answer_that_may_not_come_out_costs_one_item(sandbox: Sandbox) -> None:
    first, second = sandbox.map(eval, ["__import__('os').system", "2"], wall_s=30)
    assert isinstance(first, RuntimeError)
    assert second == 2
