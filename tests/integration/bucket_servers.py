"""Google's, Amazon's and Azure's buckets on this machine, and a proxy that comes between and misbehaves.

Each server is a process of its own, so that it can be killed and its memory is not counted with ours.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest

from tests.waiting import PATIENCE_S

AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # in its docs
_AZURITE = {"name": "diarynotes-tests", "private": True, "dependencies": {"azurite": "^3.37.0"}}
_INSTALL_S = 150

MOTO = """
import json, sys
from moto.moto_server.threaded_moto_server import ThreadedMotoServer
from moto.s3.models import s3_backends
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
for line in sys.stdin:  # thousands of objects at once, without a request for each
    bucket, keys = json.loads(line)
    backend = s3_backends["123456789012"]["aws"]
    for key in keys:
        backend.put_object(bucket, key, b"x")
    print(len(keys), flush=True)
"""
EMULATOR = """
import time
from gcp_storage_emulator.server import create_server
server = create_server("127.0.0.1", 0, in_memory=True)
server._storage._write_config_to_file = lambda: None  # all of it anew after each object, for nobody to read
server.start()
print(server._api._httpd.socket.getsockname()[1], flush=True)
time.sleep(3600)
"""


@dataclass
class Server:
    """A server's process and where it listens."""

    process: subprocess.Popen[str]
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()


def start_python(code: str) -> Server:
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout
    line = process.stdout.readline()
    if not line.strip().isdigit():
        process.kill()
        process.communicate()
        raise AssertionError("the server did not start")
    return Server(process, int(line))


def install_azurite() -> Path:
    """The folder with Azurite, installed by npm where it is not there yet; else the test is skipped."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("Azurite needs npm, which is not on this machine")
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "diarynotes-tests" / "azurite"
    program = folder / "node_modules" / ".bin" / "azurite-blob"
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text(json.dumps(_AZURITE))
        command = [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--prefer-offline"]
        try:
            done = subprocess.run(command, capture_output=True, timeout=_INSTALL_S, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip("Azurite could not be installed in time")
        if done.returncode or not program.exists():
            pytest.skip("npm could not install Azurite")
    return program


def start_azurite(program: Path, folder: Path) -> Server:
    process = subprocess.Popen(
        [
            *(program, "--blobPort", "0", "--inMemoryPersistence", "--silent"),
            *("--skipApiVersionCheck", "--disableTelemetry"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=folder,
    )
    assert process.stdout
    for line in process.stdout:
        if "successfully listens on" in line:
            return Server(process, int(line.strip().rpartition(":")[2]))
    process.kill()
    process.communicate()
    raise AssertionError("Azurite did not start")


@dataclass
class Proxy:
    """Passes requests on to a server, counts them, and spoils answers as it is told."""

    port: int
    target: int
    fault: str = ""
    requests: list[str] = field(default_factory=list)
    waiting: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def proxied(target: int) -> Iterator[Proxy]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            proxy.requests.append(f"{self.command} {self.path}")
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if proxy.fault == "hang":
                proxy.waiting.wait(PATIENCE_S)
                self.close_connection = True
                return
            there = http.client.HTTPConnection("127.0.0.1", proxy.target, timeout=PATIENCE_S)
            there.request(self.command, self.path, body, dict(self.headers))
            answer = there.getresponse()
            self.send(answer.status, answer.getheaders(), answer.read())
            there.close()

        def send(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
            is_read = "Range" in self.headers or "x-ms-range" in self.headers
            if proxy.fault == "busy":
                status, content = 503, b""
            if is_read and proxy.fault == "corrupt":
                content = content[:-1] + bytes([content[-1] ^ 1])
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                    self.send_header(name, value)
            length = next((value for name, value in headers if name.lower() == "content-length"), len(content))
            short = is_read and proxy.fault == "short"
            self.send_header("Content-Length", str(length if self.command == "HEAD" else len(content) - short))
            self.end_headers()
            cut = is_read and proxy.fault == "cut"
            self.wfile.write(content[: len(content) // 2] if cut else content[: len(content) - short])
            self.close_connection = cut

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = pass_on  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:  # whoever asked may be gone by now
            pass

    server = Quiet(("127.0.0.1", 0), Handler)
    proxy = Proxy(server.server_address[1], target)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield proxy
    proxy.waiting.set()
    server.shutdown()
    server.server_close()
    thread.join()


class Cloud:
    """A kind of bucket: how to fill it, and the storage options with which we read it."""

    scheme: str

    def __init__(self, server: Server) -> None:
        self.server = server
        self.port = server.port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def options(self, port: int | None = None, *, wrong: bool = False) -> dict[str, Any]:
        raise NotImplementedError

    def make(self, bucket: str) -> None:
        raise NotImplementedError

    def put(self, bucket: str, key: str, body: bytes) -> None:
        raise NotImplementedError

    def delete(self, bucket: str, key: str) -> None:
        raise NotImplementedError

    def put_all(self, bucket: str, keys: list[str]) -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda key: self.put(bucket, key, b"x"), keys))

    def refuse(self, refusing: bool) -> None:
        """Whether it looks at who asks."""


def _ask(method: str, url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> bytes:
    with urlopen(Request(url, body, headers or {}, method=method), timeout=PATIENCE_S) as answer:
        content: bytes = answer.read()
        return content


_SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=AKIATEST/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, "
    "Signature=00",
    "Content-Type": "audio/mp4",
}
"""What moto takes for somebody's signature; it looks at it more closely only where it is told to."""


class Amazon(Cloud):
    scheme = "s3"

    def options(self, port: int | None = None, *, wrong: bool = False) -> dict[str, Any]:
        secret = "wrong-secret" if wrong else "secret-of-the-test"
        where = {"endpoint_url": f"http://127.0.0.1:{port or self.port}", "region_name": "us-east-1"}
        return {"key": "AKIAWRONG" if wrong else "AKIATEST", "secret": secret, "client_kwargs": where}

    def make(self, bucket: str) -> None:
        _ask("PUT", f"{self.url}/{bucket}", b"", _SIGNED)

    def put(self, bucket: str, key: str, body: bytes) -> None:
        _ask("PUT", f"{self.url}/{bucket}/{quote(key)}", body, _SIGNED)

    def put_all(self, bucket: str, keys: list[str]) -> None:
        stdin, stdout = self.server.process.stdin, self.server.process.stdout
        assert stdin
        assert stdout
        stdin.write(json.dumps([bucket, keys]) + "\n")
        stdin.flush()
        assert int(stdout.readline()) == len(keys)

    def delete(self, bucket: str, key: str) -> None:
        _ask("DELETE", f"{self.url}/{bucket}/{quote(key)}", None, _SIGNED)

    def refuse(self, refusing: bool) -> None:
        _ask("POST", f"{self.url}/moto-api/reset-auth", b"0" if refusing else b"inf", {"Content-Type": "text/plain"})


class Google(Cloud):
    scheme = "gs"

    def options(self, port: int | None = None, *, wrong: bool = False) -> dict[str, Any]:
        return {"token": "anon", "endpoint_url": f"http://127.0.0.1:{port or self.port}", "project": "test"}

    def make(self, bucket: str) -> None:
        body = json.dumps({"name": bucket}).encode()
        _ask("POST", f"{self.url}/storage/v1/b?project=test", body, {"Content-Type": "application/json"})

    def put(self, bucket: str, key: str, body: bytes) -> None:
        # in two parts, because the emulator trips over a simple upload of nothing
        parts = (("application/json", json.dumps({"name": key}).encode()), ("audio/mp4", body))
        told = b"".join(b"--cut\r\nContent-Type: %s\r\n\r\n%s\r\n" % (kind.encode(), part) for kind, part in parts)
        where = f"{self.url}/upload/storage/v1/b/{bucket}/o?uploadType=multipart"
        _ask("POST", where, told + b"--cut--", {"Content-Type": "multipart/related; boundary=cut"})

    def delete(self, bucket: str, key: str) -> None:
        _ask("DELETE", f"{self.url}/storage/v1/b/{bucket}/o/{quote(key, safe='')}")


class Azure(Cloud):
    scheme = "az"

    def options(self, port: int | None = None, *, wrong: bool = False) -> dict[str, Any]:
        key = base64.b64encode(b"wrong").decode() if wrong else AZURE_KEY
        blobs = f"http://127.0.0.1:{port or self.port}/{AZURE_ACCOUNT}"
        account = f"DefaultEndpointsProtocol=http;AccountName={AZURE_ACCOUNT};AccountKey={key}"
        return {"connection_string": f"{account};BlobEndpoint={blobs};"}

    def _ask(self, method: str, path: str, query: str = "", body: bytes | None = None) -> None:
        """Signed as its docs say (Authorize with Shared Key), which costs less than its SDK's import."""
        now = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())
        sent = {"x-ms-blob-type": "BlockBlob"} if body is not None else {}
        sent |= {"x-ms-date": now, "x-ms-version": "2023-11-03"}
        length, kind = (str(len(body)) if body else "", "application/octet-stream" if body is not None else "")
        signed = "\n".join([method, "", "", length, "", kind, *[""] * 6])
        signed += "\n" + "".join(f"{name}:{sent[name]}\n" for name in sorted(sent))
        resource = f"/{AZURE_ACCOUNT}/{AZURE_ACCOUNT}/{path}" + "".join(
            f"\n{part.replace('=', ':')}" for part in [query] if part
        )
        digest = hmac.new(base64.b64decode(AZURE_KEY), (signed + resource).encode(), hashlib.sha256).digest()
        sent["Authorization"] = f"SharedKey {AZURE_ACCOUNT}:{base64.b64encode(digest).decode()}"
        if body is not None:
            sent["Content-Type"] = kind
        _ask(method, f"{self.url}/{AZURE_ACCOUNT}/{path}{'?' + query if query else ''}", body, sent)

    def make(self, bucket: str) -> None:
        self._ask("PUT", bucket, "restype=container")

    def put(self, bucket: str, key: str, body: bytes) -> None:
        self._ask("PUT", f"{bucket}/{quote(key)}", "", body)

    def delete(self, bucket: str, key: str) -> None:
        self._ask("DELETE", f"{bucket}/{quote(key)}")
