"""The job templates of deployments/ as the workers of Prefect render them, held against Kubernetes and Docker."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, Mock
from uuid import uuid4

import pytest

kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="belongs to the extra dev")
worker_module = pytest.importorskip("prefect_kubernetes.worker", reason="belongs to the extra kubernetes")

from docker.models.containers import _create_container_args  # noqa: E402
from jsonschema import Draft7Validator  # noqa: E402
from prefect.client.schemas.objects import FlowRun, WorkPool  # noqa: E402
from prefect.server.schemas.actions import WorkPoolCreate  # noqa: E402
from prefect.settings import (  # noqa: E402
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_HOME,
    temporary_settings,
)
from prefect_docker.worker import DockerWorker, DockerWorkerJobConfiguration  # noqa: E402

TEMPLATES = Path(__file__).parents[2] / "deployments" / "job-templates"
KUBERNETES = ("1.31", "1.33", "1.35")
AUTH = "operator:not-to-be-seen"


def template_of(name: str) -> dict[str, Any]:
    return json.loads((TEMPLATES / f"{name}.json").read_text())


@pytest.fixture
def configured(tmp_path):
    """Prefect as a worker in the cluster has it: an API elsewhere, and an auth string."""
    settings = {
        PREFECT_HOME: tmp_path,
        PREFECT_API_URL: "http://prefect-server:4200/api",
        PREFECT_API_AUTH_STRING: AUTH,
    }
    with temporary_settings(settings):
        yield


def render(name: str, **values: Any) -> Any:
    """What the worker makes of the template for one flow run whose deployment sets `values`."""
    kinds = {"kubernetes": worker_module.KubernetesWorkerJobConfiguration, "docker": DockerWorkerJobConfiguration}
    kind = kinds[name.partition("-")[0]]
    configuration = asyncio.run(kind.from_template_and_values(template_of(name), values, client=AsyncMock()))
    run = FlowRun(id=uuid4(), flow_id=uuid4(), name="hear-12-recordings")
    configuration.prepare_for_flow_run(run, work_pool=WorkPool(name="gpu", type="kubernetes"), worker_name="worker-1")
    return configuration


def create_job(configuration: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The manifest that the worker hands to the cluster, with the settings of our worker deployment."""
    names = "PREFECT_INTEGRATIONS_KUBERNETES_WORKER_API_AUTH_STRING_SECRET_"
    monkeypatch.setenv(names + "NAME", "prefect-client")
    monkeypatch.setenv(names + "KEY", "PREFECT_API_AUTH_STRING")
    batch = AsyncMock()
    monkeypatch.setattr(worker_module, "BatchV1Api", lambda client: batch)

    async def create() -> None:
        worker = worker_module.KubernetesWorker(work_pool_name="gpu")
        await worker._create_job(configuration, AsyncMock())

    asyncio.run(create())
    return batch.create_namespaced_job.await_args.args[1]


def container_of(manifest: dict[str, Any]) -> dict[str, Any]:
    return manifest["spec"]["template"]["spec"]["containers"][0]


@pytest.mark.parametrize("name", ["kubernetes-cpu", "kubernetes-gpu", "docker-cpu", "docker-gpu"])
def test_every_variable_is_used_and_every_default_fits_its_own_schema(name):
    template = template_of(name)
    variables, used = template["variables"]["properties"], json.dumps(template["job_configuration"])
    Draft7Validator.check_schema(template["variables"])
    unused = [variable for variable in variables if f"{{{{ {variable} }}}}" not in used]
    merged = isinstance(template["job_configuration"]["env"], dict)  # `env` is laid upon it without being named
    assert unused == (["env"] if merged else [])
    defaults = {key: entry["default"] for key, entry in variables.items() if "default" in entry}
    assert list(Draft7Validator(template["variables"]).iter_errors(defaults)) == []
    WorkPoolCreate(name="pool", type=name.partition("-")[0], base_job_template=template)  # as Prefect's server checks


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("name", ["kubernetes-cpu", "kubernetes-gpu"])
def test_a_rendered_job_passes_strict_validation(name, version, configured, monkeypatch):
    manifest = create_job(render(name), monkeypatch)
    manifest["metadata"]["name"] = manifest["metadata"]["generateName"] + "x"
    kubernetes_validate.validate(manifest, version, strict=True)
    assert container_of(manifest)["args"] == ["prefect", "flow-run", "execute"]
    assert "{{" not in json.dumps(manifest)


def test_strict_validation_refuses_what_prefect_ships(configured):
    shipped = worker_module.KubernetesWorker.get_default_base_job_template()
    configuration = asyncio.run(
        worker_module.KubernetesWorkerJobConfiguration.from_template_and_values(shipped, {}, client=AsyncMock())
    )
    configuration.prepare_for_flow_run(FlowRun(id=uuid4(), flow_id=uuid4(), name="run"))
    with pytest.raises(kubernetes_validate.ValidationError, match=r"parallelism|completions"):
        kubernetes_validate.validate(configuration.job_manifest, "1.33", strict=True)


@pytest.mark.parametrize("name", ["kubernetes-cpu", "kubernetes-gpu"])
def test_no_secret_stands_in_a_job(name, configured, monkeypatch):
    configuration = render(name)
    assert AUTH in json.dumps(configuration.job_manifest), "Prefect has it in plain text before the worker replaces it"
    manifest = create_job(configuration, monkeypatch)
    assert AUTH not in json.dumps(manifest)
    reference = next(item for item in container_of(manifest)["env"] if item["name"] == "PREFECT_API_AUTH_STRING")
    assert reference["valueFrom"]["secretKeyRef"] == {"name": "prefect-client", "key": "PREFECT_API_AUTH_STRING"}


@pytest.mark.parametrize("name", ["kubernetes-cpu", "kubernetes-gpu"])
def test_a_job_is_confined_and_ends(name, configured):
    manifest = render(name).job_manifest
    spec, pod, container = manifest["spec"], manifest["spec"]["template"]["spec"], container_of(manifest)
    assert (spec["backoffLimit"], pod["restartPolicy"], pod["automountServiceAccountToken"]) == (0, "Never", False)
    assert spec["ttlSecondsAfterFinished"] > 0
    assert spec["activeDeadlineSeconds"] > 0
    assert pod["terminationGracePeriodSeconds"] >= 30
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert mounts["/models"]["readOnly"] is True
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert {mount["name"] for mount in mounts.values()} == volumes.keys()
    for path in ("/tmp", "/home/diarynotes", "/var/lib/diarynotes/spool", "/dev/shm"):
        assert "emptyDir" in volumes[mounts[path]["name"]], f"{path} must be writable on a read-only root"


def test_a_gpu_run_asks_for_gpus_and_bears_their_taint(configured):
    manifest = render("kubernetes-gpu", gpu_count=2, env={"DIARYNOTES_MAX_ENGINES": "1"}).job_manifest
    pod, container = manifest["spec"]["template"]["spec"], container_of(manifest)
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 2
    assert pod["nodeSelector"]
    assert any(toleration["key"] == "nvidia.com/gpu" for toleration in pod["tolerations"])
    environment = {item["name"]: item.get("value") for item in container["env"]}
    assert (environment["DIARYNOTES_DEVICE"], environment["DIARYNOTES_MAX_ENGINES"]) == ("cuda", "1")


def test_the_two_kubernetes_templates_differ_only_where_gpus_do():
    cpu, gpu = template_of("kubernetes-cpu"), template_of("kubernetes-gpu")
    differing = {
        key for key, entry in gpu["variables"]["properties"].items() if entry != cpu["variables"]["properties"].get(key)
    }
    assert differing == {
        *("image", "env", "cpu_request", "memory_request", "memory_limit", "gpu_count", "scratch_size"),
        *("shared_memory_size", "node_selector", "tolerations"),
    }
    del container_of(gpu["job_configuration"]["job_manifest"])["resources"]["limits"]["nvidia.com/gpu"]
    assert gpu["job_configuration"] == cpu["job_configuration"]


def test_the_two_docker_templates_differ_only_where_gpus_do():
    cpu, gpu = template_of("docker-cpu"), template_of("docker-gpu")
    differing = {
        key for key, entry in gpu["variables"]["properties"].items() if entry != cpu["variables"]["properties"].get(key)
    }
    assert differing == {"image", "env", "gpu_count", "mem_limit", "shm_size"}
    del gpu["job_configuration"]["container_create_kwargs"]["device_requests"]
    assert gpu["job_configuration"] == cpu["job_configuration"]


def create_container(name: str, **values: Any) -> dict[str, Any]:
    """What the worker asks Docker's API for; docker-py refuses what that does not know."""
    worker = DockerWorker(work_pool_name="cpu")
    engine = Mock(**{"version.return_value": {"Version": "28.2.2"}})
    return _create_container_args(
        {**worker._build_container_settings(engine, render(name, **values)), "version": "1.50"}
    )


@pytest.mark.parametrize("name", ["docker-cpu", "docker-gpu"])
def test_a_container_reaches_the_server_and_finds_what_was_dropped(name, configured):
    """Its worker runs on the host, where the server is at an address that leads nowhere from inside a container."""
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:4200/api"}):
        request = create_container(name, env={"DIARYNOTES_LANGUAGE": "de"})
    host, environment = request["host_config"], request["environment"]
    assert environment["PREFECT_API_URL"] == "http://prefect-server:4200/api"
    assert host["NetworkMode"] == "diarynotes"
    assert host["Binds"] == [
        "diarynotes-home:/var/lib/diarynotes",
        "/var/lib/diarynotes/spool",  # its own
        "diarynotes-inbox:/var/lib/diarynotes/bucket",
        "diarynotes-models:/models:ro",
    ]
    assert (environment["DIARYNOTES_FETCH_MODELS"], environment["DIARYNOTES_LANGUAGE"]) == ("false", "de")
    assert "PREFECT_HOME" not in environment, "a folder of the worker's user"


@pytest.mark.parametrize("name", ["docker-cpu", "docker-gpu"])
def test_a_container_has_its_own_secrets_and_those_as_files(name, configured):
    request = create_container(name, secrets_folder="/srv/secrets")
    assert AUTH not in json.dumps(request)
    for mount in request["host_config"]["Mounts"]:
        file = mount["Source"].removeprefix("/srv/secrets/")
        assert mount == {
            "Type": "bind",
            "Source": f"/srv/secrets/{file}",
            "Target": f"/run/secrets/{file}",
            "ReadOnly": True,
        }
    files = {mount["Target"].rpartition("/")[2] for mount in request["host_config"]["Mounts"]}
    assert files == {"prefect_api_auth_string", "diarynotes_database_url", "vendors.env"}


def test_a_container_is_confined_and_leaves_nothing_behind(configured):
    request = create_container("docker-cpu")
    host = request["host_config"]
    assert request["command"] == "prefect flow-run execute"
    assert request["healthcheck"] == {"test": ["NONE"]}, "a flow run serves no address to be asked at"
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"]) == (8 << 30, 8 << 30, 4_000_000_000)
    assert (host["ReadonlyRootfs"], host["CapDrop"], host["AutoRemove"]) == (True, ["ALL"], True)
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert set(host["Tmpfs"]) == {"/tmp", "/home/diarynotes"}


def test_a_container_gets_the_gpus_that_it_asks_for(configured):
    (asked,) = create_container("docker-gpu", gpu_count=2)["host_config"]["DeviceRequests"]
    assert (asked["Driver"], asked["Count"], asked["Capabilities"]) == ("nvidia", 2, [["gpu"]])
