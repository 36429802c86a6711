"""A Prefect worker whose runs find a warm process: flows imported, database open, engines loaded.

A process worker starts an interpreter for each run, which takes 2 to 3 s and loads the engine anew. This one hands runs
to processes that live on (`residents`); for states, cancellation and crashes it uses the same parts of Prefect as the
process worker does. Started by `diarynotes up`, or by `prefect worker start --type diarynotes-resident --pool NAME`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

import anyio
import anyio.abc
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State, WorkerMetadata
from prefect.runner._control_channel import ControlChannel
from prefect.runner._flow_run_executor import FlowRunExecutorContext
from prefect.runner._process_manager import ProcessHandle
from prefect.settings import PREFECT_WORKER_QUERY_SECONDS, get_current_settings, temporary_settings
from prefect.workers.base import BaseJobConfiguration, BaseVariables, BaseWorker, BaseWorkerResult

from flows.residents import Residents

TYPE = "diarynotes-resident"
_LOOK_S = 0.2
_SELDOM_S = 5.0
_REPORT_S = 2.0
"""How long, at the end, is waited for Prefect to be told what became of the runs."""


class ResidentResult(BaseWorkerResult):
    """How a run ended."""


class _Attempt:
    """A run in a warm process, as Prefect looks at a process: it ends when the run does."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None


class _Starter:
    """Starts a run in a warm process and waits for its end."""

    def __init__(self, residents: Residents, channel: ControlChannel) -> None:
        self._residents = residents
        self._channel = channel

    async def start(
        self, flow_run: FlowRun, task_status: anyio.abc.TaskStatus[ProcessHandle] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        port, token = self._channel.register(flow_run.id)
        environment = {
            "PREFECT__FLOW_RUN_ID": str(flow_run.id),
            "PREFECT__CONTROL_PORT": str(port),
            "PREFECT__CONTROL_TOKEN": token,
            "PREFECT__ENABLE_CANCELLATION_AND_CRASHED_HOOKS": "false",  # those are the worker's
        }
        async with self._residents.begun({"id": str(flow_run.id), "environment": environment}) as resident:
            attempt: Any = _Attempt(resident.process.pid)
            task_status.started(ProcessHandle(attempt))
            attempt.returncode = await resident.finish()


class _NoHooks:
    """Our flows have no hooks. To look for some, Prefect would load the flow here and change into its folder."""

    async def run_crashed_hooks(self, flow_run: FlowRun, state: State[Any]) -> None:
        pass

    async def run_cancellation_hooks(self, flow_run: FlowRun, state: State[Any]) -> None:
        pass


class ResidentWorker(BaseWorker[BaseJobConfiguration, BaseVariables, ResidentResult]):
    """Runs flows of diarynotes in processes that are kept warm."""

    type = TYPE
    job_configuration = BaseJobConfiguration
    job_configuration_variables = BaseVariables
    _description = "Runs flows of diarynotes in warm processes on this machine."

    def __init__(self, *args: Any, warm: bool = True, **options: Any) -> None:
        super().__init__(*args, **options)
        environment = get_current_settings().to_environment_variables(exclude_unset=True)
        self.residents = Residents(self._limit or 1, {**os.environ, **environment})
        self._warm = warm

    async def _worker_metadata(self) -> WorkerMetadata | None:
        """Nothing: to tell the versions of Prefect's integrations, each would be imported, which takes seconds."""
        return None

    async def setup(self) -> None:
        if self._warm:
            self.residents.keep_one_ready()
        await _wait_for_api()
        await super().setup()

    async def teardown(self, *exc_info: Any) -> None:
        await self.residents.close()
        await super().teardown(*exc_info)

    async def run(
        self,
        flow_run: FlowRun,
        configuration: BaseJobConfiguration,  # noqa: ARG002  # a warm process is as it is
        task_status: anyio.abc.TaskStatus[int] | None = None,
    ) -> ResidentResult:
        """Runs it in a warm process; returns when it has ended. Prefect hears of its states from there."""
        async with FlowRunExecutorContext() as context:
            executor = context.create_executor(
                flow_run,
                _Starter(self.residents, context.control_channel),
                hook_runner=_NoHooks(),
                propose_submitting=False,
            )
            async with anyio.create_task_group() as group:
                outcome: list[Any] = []

                async def execute(*, task_status: anyio.abc.TaskStatus[ProcessHandle]) -> None:
                    outcome.append(await executor.submit(task_status=task_status))

                handle = await group.start(execute)
                if task_status is not None:
                    task_status.started(handle.pid)
        code = outcome[0].status_code if outcome and outcome[0] else 1
        return ResidentResult(identifier=str(handle.pid), status_code=code)


async def _wait_for_api() -> None:
    """Returns when Prefect answers: a worker that does not find it at first asks seldom from then on."""
    async with get_client() as client:
        while await client.api_healthcheck() is not None:
            await anyio.sleep(_LOOK_S)


async def _start(worker: ResidentWorker, is_first: bool) -> None:
    seldom = {} if is_first else {PREFECT_WORKER_QUERY_SECONDS: max(PREFECT_WORKER_QUERY_SECONDS.value(), _SELDOM_S)}
    with temporary_settings(seldom):
        await worker.start()


async def serve(pools: Sequence[tuple[str, int]]) -> None:
    """A worker for each pool, of at most so many runs at once, until SIGTERM or SIGINT.

    Only the first pool is asked often and has a process warm before there is work: the others may never get any.
    """
    workers = [
        ResidentWorker(pool, limit=slots, name=f"{pool}-resident", warm=number == 0)
        for number, (pool, slots) in enumerate(pools)
    ]
    async with anyio.create_task_group() as group:
        for number, worker in enumerate(workers):
            group.start_soon(_start, worker, number == 0)
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                break
        for worker in workers:
            await worker.residents.close()
        with anyio.move_on_after(_REPORT_S):
            while any(worker.limiter.borrowed_tokens for worker in workers if worker.is_setup):
                await anyio.sleep(0.05)
        group.cancel_scope.cancel()


if __name__ == "__main__":
    anyio.run(serve, [(pool, int(slots)) for pool, _, slots in (one.partition("=") for one in sys.argv[1:])])
