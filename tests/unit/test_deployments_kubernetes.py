"""The Kubernetes manifests of deployments/: valid to the letter, naming only what exists, closed but where needed."""

from __future__ import annotations

import ipaddress
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from diarynotes.settings import Settings

kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="belongs to the extra dev")
if shutil.which("kubectl") is None:
    pytest.skip("kubectl, which puts the manifests together, is not installed", allow_module_level=True)

DEPLOYMENTS = Path(__file__).parents[2] / "deployments"
OVERLAYS = ("dev", "prod")
VERSIONS = ("1.31", "1.33", "1.35")
NAME = "app.kubernetes.io/name"

Manifest = dict[str, Any]
each_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


@cache
def render(overlay: str) -> tuple[Manifest, ...]:
    folder = DEPLOYMENTS / "kubernetes" / "overlays" / overlay
    done = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, check=True)
    assert done.stderr == "", "kustomize warns"
    return tuple(yaml.safe_load_all(done.stdout))


def of_kind(overlay: str, *kinds: str) -> dict[str, Manifest]:
    return {one["metadata"]["name"]: one for one in render(overlay) if one["kind"] in kinds}


@cache
def secrets() -> dict[str, set[str]]:
    manifests = yaml.safe_load_all((DEPLOYMENTS / "kubernetes" / "secrets.example.yaml").read_text())
    return {one["metadata"]["name"]: set(one["stringData"]) for one in manifests}


@cache
def flow_run_job(pool: str) -> Manifest:
    """The job of a flow run, its template's variables at their defaults."""
    template = json.loads((DEPLOYMENTS / "job-templates" / f"kubernetes-{pool}.json").read_text())
    values = {key: entry.get("default", "x") for key, entry in template["variables"]["properties"].items()}

    def fill(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: fill(value) for key, value in part.items()}
        if isinstance(part, list):
            return [fill(value) for value in part]
        found = re.fullmatch(r"\{\{ (\w+) \}\}", part) if isinstance(part, str) else None
        return values[found[1]] if found else part

    return fill(template["job_configuration"]["job_manifest"])


def pods(overlay: str) -> dict[str, Manifest]:
    """The pod template of everything that runs, flow runs included, by name."""
    found = {
        name: one["spec"]["template"] for name, one in of_kind(overlay, "Deployment", "StatefulSet", "Job").items()
    }
    return found | {f"flow-run-{pool}": flow_run_job(pool)["spec"]["template"] for pool in ("cpu", "gpu")}


def labels_of(pod: Manifest) -> dict[str, str]:
    return pod["metadata"]["labels"]


def selects(selector: Manifest, labels: dict[str, str]) -> bool:
    assert set(selector) <= {"matchLabels"}, "only this is understood here"
    return selector.get("matchLabels", {}).items() <= labels.items()


# -- form -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
@each_overlay
def test_every_object_is_valid_to_the_letter(overlay, version):
    for manifest in render(overlay):
        kubernetes_validate.validate(manifest, version, strict=True)


def test_the_template_of_secrets_is_valid_and_empty():
    for manifest in yaml.safe_load_all((DEPLOYMENTS / "kubernetes" / "secrets.example.yaml").read_text()):
        kubernetes_validate.validate(manifest, "1.33", strict=True)
        assert set(manifest["stringData"].values()) == {""}


@each_overlay
def test_no_object_is_there_twice_and_no_secret_at_all(overlay):
    names = [(one["kind"], one["metadata"]["name"]) for one in render(overlay)]
    assert len(names) == len(set(names))
    assert "Secret" not in {kind for kind, _ in names}
    namespaces = {one["metadata"].get("namespace") for one in render(overlay) if one["kind"] != "Namespace"}
    assert namespaces == {"diarynotes"}


# -- references -------------------------------------------------------------------------------------------------------


def containers_of(pod: Manifest) -> list[Manifest]:
    return [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]


def environment_sources(pod: Manifest) -> Iterator[tuple[str, str, str | None]]:
    """Kind, name and key (None for all) of what the environments of a pod's containers are made from."""
    for container in containers_of(pod):
        for source in container.get("envFrom", ()):
            for kind, reference in source.items():
                yield kind.removesuffix("Ref"), reference["name"], None
        for variable in container["env"] if isinstance(container.get("env"), list) else ():
            if "valueFrom" in variable:
                reference = variable["valueFrom"]["secretKeyRef"]
                yield "secret", reference["name"], reference["key"]


@each_overlay
def test_pods_name_only_what_exists(overlay):
    maps, claims = of_kind(overlay, "ConfigMap"), of_kind(overlay, "PersistentVolumeClaim")
    accounts = of_kind(overlay, "ServiceAccount")
    for name, pod in pods(overlay).items():
        for kind, source, key in environment_sources(pod):
            known = secrets() if kind == "secret" else maps
            assert source in known, f"{name}: {kind} {source}"
            assert key is None or key in secrets()[source], f"{name}: {source}/{key}"
        spec = pod["spec"]
        assert spec.get("serviceAccountName", "worker") in accounts, name
        own = of_kind(overlay, "StatefulSet").get(name, {"spec": {}})["spec"].get("volumeClaimTemplates", ())
        volumes = {volume["name"]: volume for volume in (*spec.get("volumes", ()), *(one["metadata"] for one in own))}
        mounted = {mount["name"] for container in containers_of(pod) for mount in container.get("volumeMounts", ())}
        assert mounted == volumes.keys(), name
        for volume in volumes.values():
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in claims, name
            if "configMap" in volume:
                assert volume["configMap"]["name"] in maps, name


@each_overlay
def test_every_secret_and_map_is_used(overlay):
    used = {(kind, name) for pod in pods(overlay).values() for kind, name, _ in environment_sources(pod)}
    used |= {
        ("configMap", volume["configMap"]["name"])
        for pod in pods(overlay).values()
        for volume in pod["spec"].get("volumes", ())
        if "configMap" in volume
    }
    used.add(("secret", of_kind(overlay, "ConfigMap")["prefect-worker"]["data"][AUTH_STRING + "NAME"]))
    assert {("configMap", name) for name in of_kind(overlay, "ConfigMap")} <= used
    needed = {("secret", name) for name in secrets() if name != "postgres" or overlay == "dev"}
    assert needed <= used


AUTH_STRING = "PREFECT_INTEGRATIONS_KUBERNETES_WORKER_API_AUTH_STRING_SECRET_"


@each_overlay
def test_workers_hand_the_auth_string_on_by_a_reference_that_exists(overlay):
    settings = of_kind(overlay, "ConfigMap")["prefect-worker"]["data"]
    assert settings[AUTH_STRING + "KEY"] in secrets()[settings[AUTH_STRING + "NAME"]]
    for pool in ("cpu", "gpu"):
        assert ("configMap", "prefect-worker", None) in set(environment_sources(pods(overlay)[f"worker-{pool}"]))


@each_overlay
def test_selectors_meet_their_pods(overlay):
    everything = pods(overlay)
    for name, owner in of_kind(overlay, "Deployment", "StatefulSet").items():
        assert selects(owner["spec"]["selector"], labels_of(everything[name])), name
    for name, service in of_kind(overlay, "Service").items():
        chosen = [
            pod for pod in everything.values() if selects({"matchLabels": service["spec"]["selector"]}, labels_of(pod))
        ]
        assert len(chosen) == 1, name
        ports = {port["name"] for port in chosen[0]["spec"]["containers"][0]["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports, name
    for name, budget in of_kind(overlay, "PodDisruptionBudget").items():
        assert sum(selects(budget["spec"]["selector"], labels_of(pod)) for pod in everything.values()) == 1, name
    for scaler in of_kind(overlay, "HorizontalPodAutoscaler").values():
        target = of_kind(overlay, "Deployment")[scaler["spec"]["scaleTargetRef"]["name"]]
        assert "replicas" not in target["spec"], "each apply would set back what the autoscaler chose"
    for ingress in of_kind(overlay, "Ingress").values():
        backend = ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
        service = of_kind(overlay, "Service")[backend["name"]]
        assert backend["port"]["name"] in {port["name"] for port in service["spec"]["ports"]}


@each_overlay
def test_settings_are_known_to_those_who_read_them(overlay):
    from prefect.settings import Settings as PrefectSettings
    from prefect.settings.legacy import _get_valid_setting_names
    from prefect_kubernetes.settings import KubernetesSettings
    from prefect_redis.client import RedisMessagingSettings

    known = {f"DIARYNOTES_{field.name.upper()}" for field in fields(Settings)}
    for kind in (PrefectSettings, KubernetesSettings, RedisMessagingSettings):
        known |= _get_valid_setting_names(kind)
    known |= {"DO_NOT_TRACK", "IMAGE_CPU", "IMAGE_GPU", "PREFECT_SERVER_ENCRYPTION_KEY"}
    given = {key for one in of_kind(overlay, "ConfigMap").values() for key in one["data"] if key != "databases.sql"}
    given |= {key for name, keys in secrets().items() if name not in ("redis", "postgres") for key in keys}
    assert given - known == set()


def test_flow_runs_use_the_image_of_the_release():
    images = of_kind("prod", "ConfigMap")["flow-run-images"]["data"]
    own = {container["image"] for name, pod in pods("prod").items() for container in containers_of(pod)
           if not name.startswith("flow-run") and name != "redis"}  # fmt: skip
    assert own == {images["IMAGE_CPU"]}


# -- confinement ------------------------------------------------------------------------------------------------------


@each_overlay
def test_every_pod_is_confined(overlay):
    for name, pod in pods(overlay).items():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert spec["automountServiceAccountToken"] is name.startswith("worker-"), name
        for container in containers_of(pod):
            context = container["securityContext"]
            assert (context["readOnlyRootFilesystem"], context["allowPrivilegeEscalation"]) == (True, False), name
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), name
            assert "memory" in container["resources"]["limits"], name
            assert re.search(r":[\w.-]*\d|diarynotes:(cpu|gpu)$", container["image"]), f"{name} is not pinned"
            assert "latest" not in container["image"], name


@each_overlay
def test_what_serves_is_asked_for_its_health(overlay):
    for name, owner in of_kind(overlay, "Deployment", "StatefulSet").items():
        container = owner["spec"]["template"]["spec"]["containers"][0]
        if not container.get("ports"):
            continue
        assert "livenessProbe" in container or "readinessProbe" in container, name
        if name in of_kind(overlay, "Service"):
            assert "readinessProbe" in container, f"{name} would get requests too early"


def test_two_of_a_kind_are_not_on_one_node():
    for name, owner in of_kind("prod", "Deployment").items():
        if owner["spec"].get("replicas", 2) > 1:  # none where an autoscaler says how many
            spread = owner["spec"]["template"]["spec"].get("topologySpreadConstraints", ())
            hosts = [one for one in spread if one["topologyKey"] == "kubernetes.io/hostname"]
            assert len(hosts) == 1, f"the second {name} would go with the first one's node"
            assert selects(hosts[0]["labelSelector"], labels_of(pods("prod")[name])), name


@each_overlay
def test_what_works_on_prefects_database_waits_for_its_schema(overlay):
    for name, pod in pods(overlay).items():
        if ("secret", "prefect-server", None) in set(environment_sources(pod)) and name != "prefect-migrate":
            first = pod["spec"]["initContainers"][0]
            assert first["args"] == ["python", "/usr/local/lib/diarynotes-schema.py"], name
            assert first["envFrom"] == pod["spec"]["containers"][0]["envFrom"], name


@each_overlay
def test_workers_may_do_what_prefect_needs_and_nothing_else(overlay):
    roles = of_kind(overlay, "Role", "ClusterRole")
    allowed = {
        (group, resource, verb)
        for rule in roles["worker"]["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert roles.keys() == {"worker"}
    assert {("batch", "jobs", verb) for verb in ("create", "delete", "list", "watch")} <= allowed
    assert {("", "pods", "list"), ("", "pods", "watch"), ("", "pods/log", "get")} <= allowed
    assert not any(resource in ("secrets", "pods/exec", "*") or verb == "*" for _, resource, verb in allowed)
    binding = of_kind(overlay, "RoleBinding")["worker"]
    assert [(one["kind"], one["name"]) for one in binding["subjects"]] == [("ServiceAccount", "worker")]


# -- network ----------------------------------------------------------------------------------------------------------

OUTSIDE = "203.0.113.7"
METADATA = "169.254.169.254"
NODE_NAMES = "169.254.20.10"
CLUSTER_API = "10.96.0.1"
POSTGRES = {"dev": "postgres", "prod": "10.20.0.5"}


def meets(peer: Manifest, other: str | dict[str, str]) -> bool:
    """Whether a peer of a policy is this address, or a pod of our namespace with these labels."""
    if isinstance(other, str):
        block = peer.get("ipBlock")
        address = ipaddress.ip_address(other)
        return bool(block) and address in ipaddress.ip_network(block["cidr"]) and not any(
            address in ipaddress.ip_network(hole) for hole in block.get("except", ())
        )  # fmt: skip
    return "podSelector" in peer and "namespaceSelector" not in peer and selects(peer["podSelector"], other)


def passes(overlay: str, direction: str, pod: dict[str, str], other: str | dict[str, str], port: int) -> bool:
    """Whether the policies that choose `pod` let it speak in this direction (egress or ingress)."""
    peer_word = "to" if direction == "egress" else "from"
    rules = [
        rule
        for policy in of_kind(overlay, "NetworkPolicy").values()
        if selects(policy["spec"]["podSelector"], pod) and direction.title() in policy["spec"]["policyTypes"]
        for rule in policy["spec"].get(direction, ())
    ]
    return any(
        any(one["port"] == port for one in rule["ports"])
        and (peer_word not in rule or any(meets(peer, other) for peer in rule[peer_word]))
        for rule in rules
    )


def reaches(overlay: str, source: str, target: str, port: int) -> bool:
    everything = {name: labels_of(pod) for name, pod in pods(overlay).items()}
    if target not in everything:
        return passes(overlay, "egress", everything[source], target, port)
    out = passes(overlay, "egress", everything[source], everything[target], port)
    return out and passes(overlay, "ingress", everything[target], everything[source], port)


FLOW_RUNS = ("flow-run-cpu", "flow-run-gpu")


@each_overlay
def test_all_that_must_talk_can(overlay):
    clients = (*FLOW_RUNS, "worker-cpu", "worker-gpu", "receiver", "watcher", "register")
    stores = (*FLOW_RUNS, "receiver", "watcher", "prefect-server", "prefect-services", "prefect-migrate")
    ways = [(client, "prefect-server", 4200) for client in clients]
    ways += [(client, POSTGRES[overlay], 5432) for client in stores]
    ways += [(client, "redis", 6379) for client in ("prefect-server", "prefect-services")]
    ways += [(client, OUTSIDE, 443) for client in (*FLOW_RUNS, "receiver", "prefect-services")]
    ways += [(client, METADATA, 80) for client in (*FLOW_RUNS, "receiver")]
    ways += [(client, NODE_NAMES, 53) for client in pods(overlay)]
    ways += [(client, CLUSTER_API, 443) for client in ("worker-cpu", "worker-gpu")]
    assert [way for way in ways if not reaches(overlay, *way)] == []


@each_overlay
def test_nothing_else_can(overlay):
    everyone = pods(overlay).keys()
    ways = [(client, "redis", 6379) for client in everyone - {"prefect-server", "prefect-services"}]
    ways += [(client, OUTSIDE, port) for client in everyone for port in (22, 25, 53, 80)]
    ways += [(client, OUTSIDE, 443) for client in ("watcher", "redis", "prefect-server")]
    ways += [(client, METADATA, 80) for client in everyone - {*FLOW_RUNS, "receiver"}]
    ways += [(client, CLUSTER_API, 443) for client in (*FLOW_RUNS, "receiver", "watcher", "prefect-server")]
    ways += [("redis", "prefect-server", 4200), ("worker-cpu", POSTGRES[overlay], 5432), ("receiver", "watcher", 8080)]
    assert [way for way in ways if reaches(overlay, *way)] == []


def test_in_production_a_database_is_where_it_is_and_only_there():
    assert not reaches("prod", "flow-run-cpu", OUTSIDE, 5432)
    assert not reaches("prod", "flow-run-cpu", "10.96.0.9", 5432)
