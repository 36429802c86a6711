"""The whole thing on one machine: Prefect's server, a worker, the folder watcher, started together and kept running.

`plan` says what is to be, with the secrets of `keys`, the settings of `server` and what `deploying` finds to deploy.
`children` are processes and `child` is what they run; `database` is the Postgres below. `registering` tells Prefect's
server where runs go, by its `api`. `running` starts it all in order; `keeping` starts again what has ended, `rescue`
asks for a run where something lies, `news` tells a person what became of what was dropped.
"""

from __future__ import annotations
