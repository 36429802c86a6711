"""Weights on a volume that is mounted read-only, as in containers: what is there is used, and that is said."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

APART = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-current-user", "--keep-caps"]

# Root may write where nobody else may, so the folder has to be read-only as a volume is: by its mount.
MOUNT = """
mount --bind "$MODELS" "$MODELS" && mount -o remount,bind,ro "$MODELS" || exit 77
exec "$PYTHON" -c "$CHOOSE"
"""

# OpenAI's server answers here, since one that does not is another failure.
CHOOSE = """
import json, os, threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from diarynotes.transcribe import choice, weights

class Answer(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass

server = HTTPServer(("127.0.0.1", 0), Answer)
threading.Thread(target=server.serve_forever, daemon=True).start()
published = weights.published_urls()
weights.published_urls = lambda: {
    name: f"http://127.0.0.1:{server.server_port}/" + url.split("/models/")[1] for name, url in published.items()
}
found = choice.choose_engine(Path(os.environ["MODELS"]), "small")
print(json.dumps([found.name, found.model, found.second_best, found.reason]))
"""


def can_mount() -> bool:
    probe = [*APART, "mount", "-t", "tmpfs", "none", "/mnt"]
    return shutil.which("unshare") is not None and subprocess.run(probe, capture_output=True).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="this machine lets nobody mount a folder read-only in a namespace")
def test_the_nearest_model_on_a_read_only_volume_stands_in_for_one_that_cannot_be_kept(tmp_path: Path) -> None:
    base = tmp_path / "whisper" / "base.pt"
    base.parent.mkdir()
    base.touch()
    environment = {**os.environ, "PYTHON": sys.executable, "CHOOSE": CHOOSE, "MODELS": str(tmp_path)}

    done = subprocess.run([*APART, "sh", "-c", MOUNT], env=environment, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    _, model, second_best, reason = json.loads(done.stdout)
    assert (model, second_best) == (str(base), True)
    assert "base in place of small" in reason
    assert "Read-only file system" in reason
