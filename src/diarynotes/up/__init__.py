"""The whole thing on one machine: Prefect's server, a worker, the folder watcher, started together and kept running.

`children` are processes and `child` is what they run; `database` is the Postgres below; `keeping` starts again what has
ended. `keys` keeps secrets, `server` says how Prefect's server is to be, `registering` tells it what there is to run,
`news` tells a person what became of what was dropped.
"""

from __future__ import annotations
