"""Images, lock, compose file and scripts of deployments/: what must hold, as far as it shows without an engine."""

from __future__ import annotations

import http.server
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
import threading
import tomllib
from fnmatch import fnmatch
from functools import cache, reduce
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from diarynotes.settings import load_settings

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
    (tmp_path / "vendors.env").write_text("# keys\n\nDIARYNOTES_OPENAI_API_KEY=a=b\"'$c==\nlower=x\nNOTHING\nLAST=z")
    assert enter(tmp_path, 'printf %s "$DIARYNOTES_OPENAI_API_KEY|$LAST"') == "a=b\"'$c==|z"
    assert enter(tmp_path, 'printf %s "$LAST"', LAST="given") == "given"
    names = {line.partition("=")[0] for line in enter(tmp_path, "env").splitlines()}
    assert not {"NOT-A-NAME", "1ST", "FOLDER", "VENDORS.ENV", "LOWER", "lower", "NOTHING"} & names
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
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        asked = {"HEALTH_URL": f"http://127.0.0.1:{server.server_port}/health", "PATH": os.environ["PATH"]}
        done = subprocess.run([sys.executable, DOCKER / "health.py"], env=asked, capture_output=True)
        if status:
            server.shutdown()
    assert (done.returncode, done.stderr) == (code, b"")


@cache
def registering() -> ModuleType:
    """deployments/register.py; what it does with a server is tested with one."""
    spec = importlib.util.spec_from_file_location("registering", ROOT / "deployments" / "register.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its data classes look for their names
    spec.loader.exec_module(module)
    return module


def test_templates_take_from_the_environment_what_they_name_and_nothing_else():
    given = {
        "IMAGE_CPU": "r.example.org/d:7-cpu",
        "INBOX": "/srv/drops",
        "SECRETS": "/srv/secrets",
        "DIARYNOTES_TIMEZONE": "Europe/Zurich",
        "DIARYNOTES_TRANSCRIBE_ON": "",
        "DIARYNOTES_OPENAI_API_KEY": "not-to-be-seen",
    }
    template = registering().read_template("cpu", "docker", given)
    defaults = {name: entry.get("default") for name, entry in template["variables"]["properties"].items()}
    assert (defaults["image"], defaults["inbox"]) == ("r.example.org/d:7-cpu", "/srv/drops")
    assert defaults["secrets_folder"] == "/srv/secrets"
    assert defaults["env"]["DIARYNOTES_TIMEZONE"] == "Europe/Zurich"
    assert "not-to-be-seen" not in json.dumps(template)
    for kind in ("docker", "kubernetes"):
        for pool in registering().POOLS:
            file = ROOT / "deployments" / "job-templates" / f"{kind}-{pool}.json"
            assert registering().read_template(pool, kind, {}) == json.loads(file.read_text())


def test_deployments_are_where_pools_are_made():
    deployed = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    assert {one["work_pool"]["name"] for one in deployed} <= set(registering().POOLS)
    assert {one["work_pool"]["work_queue_name"] for one in deployed} <= set(registering().QUEUES)
    assert all("diarynotes" in one["tags"] for one in deployed), "by which their pauses are found"


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
        script, *types = arguments
        assert (program, script) == ("python", "deployments/register.py")
        assert len(types) == 1
        assert types[0] in registering().TYPES


def test_what_containers_start_is_understood():
    services = composed("compose.gpu.yaml")["services"].values()
    commands = [service["command"] for service in services if "command" in service]
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


def composed(*files: str) -> dict[str, Any]:
    """compose.yaml and what is given beside it, their variables at their defaults, as Compose would read them."""
    texts = [(DOCKER / name).read_text() for name in ("compose.yaml", *files)]
    filled = [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text).replace("$$", "$") for text in texts]
    parsed = parse_compose(yaml.safe_dump(reduce(merge, [parse_compose(text).to_dict() for text in filled])))
    parsed.validate()
    found: dict[str, Any] = parsed.to_dict()
    return found


def parse_compose(text: str) -> Any:
    return compose_spec.PyOptions(apply_merge=True).from_yaml(text)


def merge(below: Any, above: Any) -> Any:
    """As Compose puts one file upon another: mappings into each other, lists one after the other."""
    if isinstance(below, dict) and isinstance(above, dict):
        return {**below, **{key: merge(below[key], value) if key in below else value for key, value in above.items()}}
    return below + above if isinstance(below, list) and isinstance(above, list) else above


with_and_without_gpu = pytest.mark.parametrize("files", [(), ("compose.gpu.yaml",)], ids=["alone", "gpu"])


@with_and_without_gpu
def test_compose_names_only_what_is_there(files):
    compose = composed(*files)
    services = compose["services"]
    for name, service in services.items():
        assert set(service.get("secrets", ())) <= compose["secrets"].keys(), name
        assert set(service.get("depends_on", ())) <= services.keys(), name
        volumes = {volume.partition(":")[0] for volume in service.get("volumes", ()) if ":" in volume}
        assert volumes <= compose["volumes"].keys(), name
        for dependency, how in service.get("depends_on", {}).items():
            waits_for_health = how["condition"] == "service_healthy"
            assert not waits_for_health or "test" in services[dependency]["healthcheck"], f"{name} waits for ever"


@with_and_without_gpu
def test_compose_services_are_confined_and_seen_from_this_host_alone(files):
    for name, service in composed(*files)["services"].items():
        for port in service.get("ports", ()):
            assert str(port).startswith("127.0.0.1:") or port["host_ip"] == "127.0.0.1", name
        environment = service.get("environment", {})
        plain = {key for key in environment if SECRET_NAME.search(key) and not key.endswith("_FILE")}
        assert plain <= {"SECRETS"}, f"{name} has more in plain text than the folder's name"
        assert PINNED.match(service["image"]) or service["image"] in ("diarynotes:cpu", "diarynotes:gpu"), name
        assert service["security_opt"] == ["no-new-privileges:true"], name
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


WORKERS = {"worker", "worker-gpu"}


@with_and_without_gpu
def test_what_works_goes_on_with_the_weights_that_are_there(files):
    services = composed(*files)["services"]
    working = {name for name, service in services.items() if "models:/models:ro" in service.get("volumes", ())}
    assert WORKERS & services.keys() <= working
    for name in WORKERS & services.keys():
        settings = load_settings(services[name]["environment"])
        assert not settings.fetch_models, f"{name} would try to write into a volume that is read-only"


@with_and_without_gpu
def test_no_container_sweeps_what_another_one_has_decoded(files):
    """Whose process is dead is told by its number, which means nothing from one container to the next."""
    services = composed(*files)["services"]
    for name in WORKERS & services.keys():
        assert "/var/lib/diarynotes/spool" in services[name]["volumes"], "a volume that no other container has"
    for image in IMAGES:
        made = next(run for run in values_of(steps_of(image), "RUN") if "install --directory" in run)
        assert " /var/lib/diarynotes/spool " in made, "else it would belong to root"


def test_alone_a_worker_does_everything_itself():
    settings = load_settings(composed()["services"]["worker"]["environment"])
    assert (settings.transcribe_on, settings.write_on) == ("", "")


def test_with_a_gpu_recordings_are_heard_on_it_and_written_where_the_keys_are():
    deployed = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    pools = {f"{one['entrypoint'].rpartition(':')[2]}/{one['name']}": one["work_pool"]["name"] for one in deployed}
    services = composed("compose.gpu.yaml")["services"]
    served = {next(word for word in services[name]["command"] if "--pool=" in word): name for name in WORKERS}
    for name in WORKERS:
        settings = load_settings(services[name]["environment"])
        hearing, writing = (
            services[served[f"--pool={pools[on]}"]] for on in (settings.transcribe_on, settings.write_on)
        )
        assert hearing["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"], name
        assert load_settings(hearing["environment"]).device == "cuda"
        assert [file["path"] for file in writing["env_file"]] == ["/etc/diarynotes/secrets/vendors.env"], name
    kept = (
        "networks",
        "read_only",
        "tmpfs",
        "cap_drop",
        "security_opt",
        "secrets",
        "volumes",
        "healthcheck",
        "depends_on",
    )
    for key in (*kept, "logging", "restart", "stop_grace_period"):
        assert services["worker-gpu"][key] == services["worker"][key], key
    differing = {
        key
        for key in services["worker-gpu"]["environment"]
        if services["worker-gpu"]["environment"][key] != services["worker"]["environment"].get(key)
    }
    assert differing == {"DIARYNOTES_DEVICE"}


def test_runs_in_containers_of_their_own_are_set_as_those_of_a_worker():
    services = composed()["services"]
    for pool in registering().POOLS:
        template = registering().read_template(pool, "docker", services["register"]["environment"])
        variables = {name: entry.get("default") for name, entry in template["variables"]["properties"].items()}
        environment = template["job_configuration"]["env"] | variables["env"]
        del environment["PREFECT_API_URL"]  # which stands in a variable of its own
        worker = services["worker"]["environment"]
        assert {name: worker[name] for name in environment if worker.get(name)} == {
            name: value for name, value in environment.items() if value and name != "DIARYNOTES_DEVICE"
        }
        assert variables["api_url"] == worker["PREFECT_API_URL"]
        assert variables["networks"] == [
            composed()["networks"][name]["name"] for name in services["worker"]["networks"]
        ]
        named = {composed()["volumes"][name]["name"] for name in ("home", "models", "inbox")}
        assert named == {variables["home"], variables["models"], variables["inbox"]}


PAGE = (ROOT / "docs" / "deploying.md").read_text()


def test_the_page_makes_every_secret_that_compose_and_docker_name(tmp_path):
    """Its own commands, with a folder of the test in the place of the one in /etc."""
    (commands,) = [
        block
        for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
        if "openssl rand" in block and "docker compose" in block
    ]
    for name in ("docker", "chgrp", "install"):
        (tmp_path / name).write_text('#!/bin/sh\ncase $0 in *install) mkdir -p "$SECRETS" ;; esac\n')
        (tmp_path / name).chmod(0o755)
    folder = tmp_path / "secrets"
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SECRETS": str(folder)}
    script = commands.replace("/etc/diarynotes/secrets", str(folder))
    done = subprocess.run(["sh", "-euc", script], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    named = {Path(secret["file"]).name for secret in composed()["secrets"].values()}
    template = registering().read_template("cpu", "docker", {})
    mounts = template["job_configuration"]["container_create_kwargs"]["mounts"]
    named |= {Path(mount["Source"]).name for mount in mounts}
    assert {file.name for file in folder.iterdir()} == named
    assert all(file.stat().st_size and not file.stat().st_mode & 0o007 for file in folder.iterdir())
    made = {file: file.read_text() for file in folder.iterdir()}
    subprocess.run(["sh", "-c", script], env=environment, cwd=tmp_path, capture_output=True)
    assert {file: file.read_text() for file in folder.iterdir()} == made, "what they encrypt would be lost with them"


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
