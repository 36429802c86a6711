"""Large objects are streamed: hashed and copied in little memory, and an interrupted download leaves nothing."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration import bucket_servers as servers

SIZE = 300 << 20
GROWTH_BYTES = 80 << 20
"""A few blocks: some are on their way while others are written, as many as the machine's other work makes it."""

_READ = """
import json, sys
from pathlib import Path
from diarynotes.buckets import connect, find_object, hash_object, local_copy

def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024

uri, small, options, folder = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), Path(sys.argv[4])
connect(uri.partition(":")[0], options)
small = find_object(small)
with local_copy(small, folder=folder):  # so that its libraries are loaded before anything is measured
    hash_object(small)
before = peak()
sha256 = hash_object(find_object(uri))
hashed = peak() - before
with local_copy(find_object(uri), folder=folder) as path:
    size = path.stat().st_size
print(json.dumps({"sha256": sha256, "size": size, "hashing": hashed, "copying": peak() - before}))
"""
_SERVE = """
import hashlib
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Zeros(BaseHTTPRequestHandler):  # objects named for their sizes: moto would read all of one for each stretch
    protocol_version = "HTTP/1.1"
    etags = {}

    def do_HEAD(self):
        size = int(self.path.partition("?")[0].rpartition("/")[2])
        if size not in self.etags:
            self.etags[size] = hashlib.md5(bytes(size)).hexdigest()
        start, stop = 0, size
        if self.headers["Range"]:
            first, last = self.headers["Range"].removeprefix("bytes=").split("-")
            start, stop = int(first), min(int(last) + 1, size)
        self.send_response(206 if self.headers["Range"] else 200)
        self.send_header("ETag", '"' + self.etags[size] + '"')
        self.send_header("Last-Modified", formatdate(0, usegmt=True))
        self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        return stop - start

    def do_GET(self):
        self.wfile.write(bytes(self.do_HEAD()))

    def log_message(self, *_):
        pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Zeros)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


@pytest.fixture(scope="module")
def amazon() -> Iterator[Any]:
    cloud = servers.Amazon(servers.start_python(_SERVE))
    yield cloud
    cloud.server.stop()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from /proc")
def test_300_mb_are_hashed_and_copied_in_little_memory(amazon: Any, tmp_path: Path) -> None:
    arguments = [f"s3://voice/{SIZE}", "s3://voice/5000000", json.dumps(amazon.options()), str(tmp_path)]
    done = subprocess.run([sys.executable, "-c", _READ, *arguments], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert told["size"] == SIZE
    assert told["sha256"] == hashlib.sha256(bytes(SIZE)).hexdigest()
    assert told["hashing"] < GROWTH_BYTES, told
    assert told["copying"] < GROWTH_BYTES, told
    assert list(tmp_path.iterdir()) == []
