"""The whole thing on one machine: Prefect's server, a worker, the folder watcher, started together and kept running.

`children` keeps processes running, `child` is what they run, `keys` keeps secrets, `server` says how Prefect's server
is to be, `registering` tells it what there is to run, `news` tells a person what became of what was dropped.
"""

from __future__ import annotations
