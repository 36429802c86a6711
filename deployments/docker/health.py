"""Asks the worker or receiver in this container whether it is well: exits 0 if `/health` answers 200, else 1.

Knows nothing of diarynotes, so that it costs no import of it. HEALTH_URL names another address.
"""

import os
import sys
import urllib.error
import urllib.request

url = os.environ.get("HEALTH_URL", "http://127.0.0.1:8080/health")
try:
    with urllib.request.urlopen(url, timeout=4) as answer:  # noqa: S310 (the container's own setting)
        sys.exit(answer.status != 200)
except (urllib.error.URLError, OSError):
    sys.exit(1)
