"""Makes the work pools cpu and gpu with their queues, then registers every deployment of prefect.yaml; repeatable.

    python deployments/register.py TYPE         TYPE is kubernetes, docker or process

in the folder of prefect.yaml, with the Prefect server that PREFECT_API_URL names. Pools get their job templates anew,
deployments what prefect.yaml says. What operators have set beside that stays: limits and pauses of pools and queues,
and what they have paused of deployments, schedules and triggers.

The environment fills the templates: IMAGE_CPU and IMAGE_GPU are the images of the two pools, INBOX and SECRETS the
places that runs in Docker find those at, and what a template names in `env` has the value that it has here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.client.schemas.objects import DeploymentSchedule
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.exceptions import ObjectNotFound

TYPES = ("kubernetes", "docker", "process")
POOLS = ("cpu", "gpu")
QUEUES = ("urgent", "normal", "low")
"""The queues of each pool, in falling priority; Prefect itself would make them, too, but at the lowest one."""
RESCUE = "pick-up/rescue"
RESCUE_EVERY = timedelta(minutes=1)
"""How often it is asked for where no `diarynotes up` looks after dead workers; each time may start a container."""
TEMPLATES = Path(__file__).parent / "job-templates"
_OURS = DeploymentFilter(tags=DeploymentFilterTags(all_=["diarynotes"]))


def main(pool_type: str) -> None:
    """Exits with a sentence where a pool of another type is in the way."""
    with get_client(sync_client=True) as client:
        for pool in POOLS:
            register_pool(client, pool, pool_type)
            register_queues(client, pool)
        before = read_stand(client)
        try:
            subprocess.run([sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"], check=True)
            schedule_rescue(client)
        finally:  # it may have resumed some before it failed
            restore_pauses(client, before)


# -- pools ------------------------------------------------------------------------------------------------------------


def register_pool(client: SyncPrefectClient, name: str, pool_type: str) -> None:
    """Makes the pool, or gives the one that is there its template; one of processes has the template of its workers."""
    template = None if pool_type == "process" else read_template(name, pool_type, os.environ)
    try:
        there = client.read_work_pool(name)
    except ObjectNotFound:
        client.create_work_pool(WorkPoolCreate(name=name, type=pool_type, base_job_template=template or {}))
        return
    if there.type != pool_type:  # which Prefect never changes
        sys.exit(f"The pool {name} is of type {there.type}. Delete it first: prefect work-pool delete {name}")
    if template:
        client.update_work_pool(name, WorkPoolUpdate(base_job_template=template))


def read_template(pool: str, pool_type: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """The template of a pool's jobs, its defaults filled from the environment."""
    template: dict[str, Any] = json.loads((TEMPLATES / f"{pool_type}-{pool}.json").read_text())
    variables = template["variables"]["properties"]
    for variable, name in (("image", f"IMAGE_{pool.upper()}"), ("inbox", "INBOX"), ("secrets_folder", "SECRETS")):
        if variable in variables and environment.get(name):
            variables[variable]["default"] = environment[name]
    settings = variables["env"]["default"]
    settings.update({name: environment[name] for name in settings if environment.get(name)})
    return template


def register_queues(client: SyncPrefectClient, pool: str) -> None:
    """Makes the queues that are missing."""
    there = {queue.name for queue in client.read_work_queues(work_pool_name=pool)}
    for priority, queue in enumerate(QUEUES, start=1):
        if queue not in there:
            client.create_work_queue(queue, work_pool_name=pool, priority=priority)


# -- deployments ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stand:
    """Our deployments as they are, and the names of the triggers that somebody has paused."""

    deployments: Mapping[UUID, DeploymentResponse]
    paused_triggers: frozenset[str]


def read_stand(client: SyncPrefectClient) -> Stand:
    deployments = {one.id: one for one in client.read_deployments(deployment_filter=_OURS)}
    return Stand(deployments, frozenset(one.name for one in client.read_automations() if not one.enabled))


def schedule_rescue(client: SyncPrefectClient) -> None:
    """prefect.yaml leaves it to `diarynotes up`, which nobody runs where this does."""
    deployment = client.read_deployment_by_name(RESCUE)
    for one in deployment.schedules:
        every = IntervalSchedule(interval=RESCUE_EVERY)
        client.update_deployment_schedule(deployment.id, one.id, active=True, schedule=every)


def restore_pauses(client: SyncPrefectClient, before: Stand) -> None:
    """Pauses again what was paused: `prefect deploy` resumes all that it touches."""
    now = read_stand(client)
    for key, deployment in now.deployments.items():
        if (then := before.deployments.get(key)) is None:
            continue
        if then.paused:
            client.pause_deployment(key)
        paused = [describe_schedule(one) for one in then.schedules if not one.active]
        for one in deployment.schedules:
            if one.active and describe_schedule(one) in paused:
                client.update_deployment_schedule(key, one.id, active=False)
    for automation in client.read_automations():
        if automation.name in before.paused_triggers - now.paused_triggers:
            client.pause_automation(automation.id)


def describe_schedule(one: DeploymentSchedule) -> dict[str, Any]:
    """When it has runs made; without what it counts from, which is new each time that it is registered."""
    return one.schedule.model_dump(exclude={"anchor_date"})


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in TYPES:
        sys.exit(f"Name the type of the pools: {', '.join(TYPES)}")
    main(sys.argv[1])
