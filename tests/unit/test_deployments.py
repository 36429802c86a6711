"""Images, lock, compose file and scripts of deployments/: what must hold, as far as it shows without an engine."""

from __future__ import annotations

import http.server
import io
import json
import os
import re
import subprocess
import sys
import threading
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

compose_spec = pytest.importorskip("compose_spec", reason="belongs to the extra dev")
dockerfile_parse = pytest.importorskip("dockerfile_parse", reason="belongs to the extra dev")

from docker.utils.build import exclude_paths  # noqa: E402

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "deployments" / "docker"
IMAGES = ("Dockerfile.cpu", "Dockerfile.gpu")
SECRET_NAME = re.compile(r"KEY|TOKEN|PASSWORD|SECRET|AUTH|CREDENTIAL")
PINNED = re.compile(r"^[\w./-]+:\d+\.\d+(\.\d+)?[\w.-]*$")

Stage = tuple[str, list[tuple[str, str]]]


def stages_of(name: str) -> dict[str, Stage]:
    """The stages of a Dockerfile by name: what each is made from, and its instructions with their values."""
    text = io.BytesIO((ROOT / name).read_bytes())
    parser = dockerfile_parse.DockerfileParser(fileobj=text, env_replace=False)
    stages: dict[str, Stage] = {}
    for step in parser.structure:
        instruction, value = step["instruction"], step["value"]
        if instruction == "FROM":
            base, _, alias = value.partition(" AS ")
            current: list[tuple[str, str]] = []
            stages[alias] = (base, current)
        elif instruction != "COMMENT":
            current.append((instruction, value))
    return stages


def steps_of(name: str) -> list[tuple[str, str]]:
    return [step for _, steps in stages_of(name).values() for step in steps]


def values_of(steps: list[tuple[str, str]], instruction: str) -> list[str]:
    return [value for found, value in steps if found == instruction]


# -- images -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_has_its_stages_on_pinned_bases(name):
    stages = stages_of(name)
    assert {"base", "dev", "prod"} <= stages.keys()
    assert list(stages)[-1] == "prod", "what is built when nobody names a target"
    foreign = {base for base, _ in stages.values() if base not in stages}
    assert foreign
    assert [base for base in foreign if not PINNED.match(base)] == []


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_runs_as_somebody_who_may_do_nothing_and_can_be_asked_for_its_health(name):
    stages = stages_of(name)
    for stage in ("dev", "prod"):
        steps = stages[stage][1]
        assert values_of(steps, "USER") == ["10001:10001"]
        after = steps[[instruction for instruction, _ in steps].index("USER") :]
        assert "RUN" not in dict(after), "whatever runs later would run without the right to"
    way = [step for stage in ("run", "prod") if stage in stages for step in stages[stage][1]]
    assert "health.py" in values_of(way, "HEALTHCHECK")[0]
    assert values_of(way, "ENTRYPOINT") == ['["tini", "--", "diarynotes-entrypoint"]']


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_takes_nothing_unlocked_from_the_net(name):
    steps = steps_of(name)
    assert values_of(steps, "ADD") == []
    for run in values_of(steps, "RUN"):
        assert not re.search(r"\b(curl|wget|git clone)\b", run)
        if re.search(r"apt-get|pip install|uv build", run) and "/wheels/*.whl" not in run:
            assert "--mount=type=cache" in run, f"downloads again at every build: {run}"
        if "--requirement" in run or "uv build" in run:
            assert "--build-constraint requirements.lock" in run
        for option in re.findall(r"uv pip install .*?(?=&&|$)", run):
            assert "--constraint requirements.lock" in option or "--no-deps" in option


@pytest.mark.parametrize("name", IMAGES)
def test_no_secret_and_no_weights_are_in_an_image(name):
    steps = steps_of(name)
    given = " ".join(values_of(steps, "ARG") + values_of(steps, "ENV"))
    assert [word for word in re.findall(r"(\w+)=", given) if SECRET_NAME.search(word)] == []
    assert not re.search(r"models pull|\.pt\b|\.gguf\b", " ".join(values_of(steps, "RUN")))


@pytest.mark.parametrize("name", IMAGES)
def test_what_an_image_copies_is_there_and_sent_to_the_builder(name):
    sent = exclude_paths(str(ROOT), (ROOT / ".dockerignore").read_text().splitlines())
    for value in values_of(steps_of(name), "COPY"):
        *sources, _ = [word for word in value.split() if not word.startswith("--")]
        if "--from=" not in value and sources != ["."]:
            assert [source for source in sources if source not in sent] == []


def test_only_the_project_is_sent_to_the_builder(tmp_path):
    private = (
        ".env",
        "diarynotes.toml",
        ".git/config",
        ".venv/bin/python",
        "demo-home/diary",
        "flows/__pycache__/x.pyc",
    )
    for path in (*private, "flows/diary.py", "deployments/docker/secrets/key"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("private")
    sent = exclude_paths(str(tmp_path), (ROOT / ".dockerignore").read_text().splitlines())
    assert {path for path in sent if (tmp_path / path).is_file()} == {"flows/diary.py"}


def test_both_images_have_the_same_torch_tools_and_settings():
    wanted = next(one for one in project_requirements() if one.name == "torch")
    for name in IMAGES:
        stages = stages_of(name)
        assert f"TORCH={wanted.name}{wanted.specifier}" in values_of(stages["packages"][1], "ARG")
    cpu, gpu = stages_of("Dockerfile.cpu"), stages_of("Dockerfile.gpu")
    assert values_of(cpu["run"][1], "ENV") == values_of(gpu["prod"][1], "ENV")
    tools = {found for name in IMAGES for found in re.findall(r"uv==[\d.]+", (ROOT / name).read_text())}
    assert tools == set(re.findall(r"uv==[\d.]+", (ROOT / "Makefile").read_text()))
    assert len(tools) == 1


# -- the lock ---------------------------------------------------------------------------------------------------------


def project_requirements() -> list[Requirement]:
    """What pyproject.toml asks for, extras included, without its own name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    wanted = [Requirement(text) for group in groups for text in group]
    return [one for one in wanted if one.name != project["name"]]


def locked() -> dict[str, Version]:
    lines = re.findall(r"^([\w.-]+)==([\w.!+]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    return {canonicalize_name(name): Version(version) for name, version in lines}


def test_the_lock_answers_to_the_project():
    """Where this fails after a change of pyproject.toml: make lock."""
    pins = locked()
    unmet = [
        str(one)
        for one in project_requirements()
        if one.name != "torch" and not one.specifier.contains(pins.get(canonicalize_name(one.name), "0"), True)
    ]
    assert unmet == []


def test_the_lock_holds_hashes_and_no_libraries_of_cuda():
    text = (ROOT / "requirements.lock").read_text()
    entries = re.split(r"\n(?=\S)", "\n".join(line for line in text.splitlines() if not line.startswith("#")))
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert [name for name in locked() if name == "torch" or name.startswith(("nvidia-", "cuda-"))] == []
    stated = tomllib.loads((DOCKER / "lock.toml").read_text())["dependency-metadata"][0]
    assert f"{stated['name']}=={stated['version']}" in map(str, project_requirements())


# -- scripts ----------------------------------------------------------------------------------------------------------


def enter(folder: Path, command: str, **environment: str) -> str:
    environment = {"PATH": os.environ["PATH"], "SECRETS_FOLDER": str(folder), **environment}
    done = subprocess.run(
        [DOCKER / "entrypoint.sh", "sh", "-c", command], env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_secrets_in_files_become_the_environment(tmp_path):
    (tmp_path / "diarynotes_database_url").write_text("postgresql://a b'\"$c:d@host/x?y=1&z=%20\n")
    (tmp_path / "prefect_api_auth_string").write_text("from the file")
    for odd in ("not-a-name", "1st", "..data"):
        (tmp_path / odd).write_text("x")
    (tmp_path / "folder").mkdir()
    command = 'printf %s "$DIARYNOTES_DATABASE_URL|$PREFECT_API_AUTH_STRING"'
    shown = enter(tmp_path, command, PREFECT_API_AUTH_STRING="given")
    assert shown == "postgresql://a b'\"$c:d@host/x?y=1&z=%20|given"
    names = {line.partition("=")[0] for line in enter(tmp_path, "env").splitlines()}
    assert not {"NOT-A-NAME", "1ST", "FOLDER"} & names
    assert enter(tmp_path / "nothing here", "echo well") == "well\n"


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (None, 1)])
def test_health_is_what_the_process_answers(status, code):
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        if status is None:
            server.server_close()
        else:
            threading.Thread(target=server.serve_forever, daemon=True).start()
        asked = {"HEALTH_URL": f"http://127.0.0.1:{server.server_port}/health", "PATH": os.environ["PATH"]}
        done = subprocess.run([sys.executable, DOCKER / "health.py"], env=asked, capture_output=True)
        if status:
            server.shutdown()
    assert (done.returncode, done.stderr) == (code, b"")


def register(tmp_path: Path, kind: str, *, existing: str | None = None) -> tuple[int, list[str]]:
    """The exit code, and the calls of `prefect` that the script makes; templates that it hands over are kept.

    `existing` is the type of the pools where they and their queues are there already.
    """
    stub = tmp_path / "prefect"
    stub.write_text(
        f"""#!/bin/sh
        echo "$@" >>{tmp_path}/calls
        case "$*" in
            *base-job-template*) cp "$8" {tmp_path}/template-$4 ;;
            *work-pool\\ inspect*) echo '{{  "type": "{existing or kind}" }}' ;;
            *work-queue\\ inspect*) exit {0 if existing else 1} ;;
        esac
        """
    )
    stub.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "IMAGE_GPU": "r.example.org/d:7-gpu"}
    done = subprocess.run([ROOT / "deployments" / "register.sh", kind], env=environment, capture_output=True)
    return done.returncode, (tmp_path / "calls").read_text().splitlines()


def test_pools_and_queues_are_made_before_the_deployments(tmp_path):
    code, calls = register(tmp_path, "kubernetes")
    assert (code, calls[-1]) == (0, "--no-prompt deploy --all")
    for number, queue in enumerate(("urgent", "normal", "low"), start=1):
        for pool in ("cpu", "gpu"):
            assert f"work-queue create {queue} --pool {pool} --priority {number}" in calls
    gpu = yaml.safe_load((tmp_path / "template-gpu").read_text())
    assert gpu["variables"]["properties"]["image"]["default"] == "r.example.org/d:7-gpu"
    cpu = yaml.safe_load((tmp_path / "template-cpu").read_text())
    assert cpu == yaml.safe_load((ROOT / "deployments" / "job-templates" / "kubernetes-cpu.json").read_text())


def test_registering_again_leaves_queues_alone(tmp_path):
    code, calls = register(tmp_path, "process", existing="process")
    assert code == 0
    assert not any("work-queue create" in call for call in calls)


def test_a_pool_of_another_type_is_not_passed_over(tmp_path):
    code, calls = register(tmp_path, "docker", existing="process")
    assert code == 1
    assert "--no-prompt deploy --all" not in calls


@pytest.mark.parametrize("kind", ["kubernetes", "docker", "process"])
def test_prefect_understands_every_call(kind, tmp_path):
    for call in register(tmp_path, kind)[1]:
        understand_prefect(call.removeprefix("--no-prompt ").split())


def understand_prefect(arguments: list[str]) -> None:
    """Raises where Prefect's own command line would not take these arguments."""
    from prefect.cli._app import _app

    _app.parse_args(arguments, exit_on_error=False, print_error=False)


def understand(command: list[str]) -> None:
    """Raises where the program of ours or Prefect's that a container starts would not take its arguments."""
    from diarynotes.cli import main

    program, *arguments = command
    if program == "prefect":
        understand_prefect(arguments)
    elif program == "diarynotes":
        main.commands[arguments[0]].make_context(arguments[0], arguments[1:])
    else:
        assert program == "deployments/register.sh"
        assert arguments[0] in ("kubernetes", "docker", "process")


def test_what_containers_start_is_understood():
    commands = [service["command"] for service in composed()["services"].values() if "command" in service]
    commands = [command for command in commands if command[0] != "sh"]
    for path in sorted((ROOT / "deployments" / "kubernetes" / "base").glob("*.yaml")):
        for manifest in yaml.safe_load_all(path.read_text()):
            pod = manifest.get("spec", {}).get("template", {}).get("spec", {})
            commands += [one["args"] for one in pod.get("containers", ()) if one["image"].startswith("diarynotes:")]
    commands += [json.loads(value) for name in IMAGES for value in values_of(stages_of(name)["prod"][1], "CMD")]
    assert len(commands) > 15
    for command in commands:
        understand(command)


# -- compose ----------------------------------------------------------------------------------------------------------


def composed() -> dict[str, Any]:
    """The compose file with its variables at their defaults, as Compose itself would read it."""
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", (DOCKER / "compose.yaml").read_text()).replace("$$", "$")
    parsed = compose_spec.PyOptions(apply_merge=True).from_yaml(text)
    parsed.validate()
    return parsed.to_dict()


def test_compose_names_only_what_is_there():
    compose = composed()
    services = compose["services"]
    for name, service in services.items():
        assert set(service.get("secrets", ())) <= compose["secrets"].keys(), name
        assert set(service.get("depends_on", ())) <= services.keys(), name
        volumes = {volume.partition(":")[0] for volume in service.get("volumes", ())}
        assert volumes <= compose["volumes"].keys(), name
        for dependency, how in service.get("depends_on", {}).items():
            waits_for_health = how["condition"] == "service_healthy"
            assert not waits_for_health or "test" in services[dependency]["healthcheck"], f"{name} waits for ever"


def test_compose_services_are_confined_and_seen_from_this_host_alone():
    for name, service in composed()["services"].items():
        for port in service.get("ports", ()):
            assert str(port).startswith("127.0.0.1:") or port["host_ip"] == "127.0.0.1", name
        environment = service.get("environment", {})
        assert [key for key in environment if SECRET_NAME.search(key) and not key.endswith("_FILE")] == [], name
        assert PINNED.match(service["image"]) or service["image"] in ("diarynotes:cpu", "diarynotes:gpu"), name
        if service["image"].startswith("diarynotes:"):
            assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name
        if service["restart"] == "unless-stopped":
            assert "mem_limit" in service, name


def test_every_secret_of_compose_is_a_file_that_the_entrypoint_names_rightly():
    compose = composed()
    used = {secret for service in compose["services"].values() for secret in service.get("secrets", ())}
    assert used == compose["secrets"].keys()
    for name, secret in compose["secrets"].items():
        assert secret["file"].startswith("/etc/diarynotes/secrets/"), name
        assert any(fnmatch(name, known) for known in ("postgres_*", "redis_*", "diarynotes_*", "prefect_*"))


# -- messages to operators --------------------------------------------------------------------------------------------


def payloads() -> dict[str, str]:
    """What is posted, before it is filled in, by the automation's name."""
    told = yaml.safe_load((ROOT / "deployments" / "automations" / "alerts.yaml").read_text())["automations"]
    return {one["name"]: one["actions"][0]["payload"] for one in told}


@pytest.mark.parametrize("name", payloads())
def test_messages_are_json_whatever_is_in_them_and_name_no_file(name):
    from prefect.server.utilities.user_templates import render_user_template_sync, validate_user_template

    odd = '"quoted" \\ and\nbroken {'
    run = {"id": "prefect.flow-run.0b5f", "name": 'pick up "letter".m4a'}
    event = {"resource": run, "payload": dict.fromkeys(("code", "reason", "spent_usd", "limit_usd", "period"), odd)}
    filled = {"event": event, "flow": {"name": odd}, "deployment": {"name": odd}, "flow_run": {"name": run["name"]}}
    validate_user_template(payloads()[name])
    told = json.loads(render_user_template_sync(payloads()[name], filled))
    assert told.keys() == {"text"}
    assert odd in told["text"]
    assert "letter" not in told["text"]
    bare = {"event": {"resource": {"id": "x"}, "payload": {}}, "flow": None, "deployment": None}
    assert "?" in json.loads(render_user_template_sync(payloads()[name], bare))["text"]
