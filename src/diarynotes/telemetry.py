"""Keeps the libraries that we use from sending anything home: each has a switch of its own, read when it is imported.

Private stays private also towards the makers of our tools. Called before such a library is imported.
"""

from __future__ import annotations

import os

_SWITCHES = {
    "DO_NOT_TRACK": "1",  # Prefect and others that keep to the convention
    "GX_ANALYTICS_ENABLED": "false",  # Great Expectations
    "HF_HUB_DISABLE_TELEMETRY": "1",  # huggingface_hub, which faster-whisper brings
    "ORT_DISABLE_TELEMETRY": "1",  # onnxruntime: on by default on Linux from 1.29 on, with hashes of models
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}


def forbid_telemetry() -> None:
    """Switches it off for this process and those that it starts."""
    os.environ.update(_SWITCHES)
