"""docker-compose.kafka.yml and the Dockerfile: the Compose specification's own schema, and agreement with our code.

No container engine is needed: the schema comes with the development dependency check-jsonschema, which carries the one
the Compose specification publishes.
"""

import json
import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec
import pytest
import yaml
from jsonschema import Draft7Validator

from hotswap_events.topics import Topics
from hotswap_stream.api.protocol.allowed_hosts import AllowedHosts
from hotswap_stream.home.pulse import AGE_SECONDS_MAX
from hotswap_stream.listed_settings import parse_allowed_hosts
from hotswap_stream.settings import PREFIX, Settings, load_settings
from tests.support.checkout import ROOT
from tools.reference_cli import command_names

BROKERS = ("kafka-1", "kafka-2", "kafka-3")
OURS = ("topics", "agents", "api", "worker")

JsonObject = dict[str, Any]

_INTERPOLATION = re.compile(r"\$\{(?P<name>[A-Z0-9_]+):-(?P<default>[^}]*)\}")


@cache
def _compose() -> JsonObject:
    loaded: JsonObject = yaml.safe_load((ROOT / "docker-compose.kafka.yml").read_text(encoding="utf-8"))
    return loaded


def _service(name: str) -> JsonObject:
    service: JsonObject = _compose()["services"][name]
    return service


def _plain(value: str) -> str:
    """Return a value as it is where no variable is set on the host."""
    return _INTERPOLATION.sub(lambda match: match["default"], value)


def _environment(name: str) -> dict[str, str]:
    """As the container would see it when no variable is set on the host."""
    found = {key: _plain(str(value)) for key, value in _service(name)["environment"].items()}
    assert not any("$" in value for value in found.values()), "only ${NAME:-default} is used here"
    return found


def _dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text(encoding="utf-8")


@cache
def _compose_schema() -> JsonObject:
    text = (files("check_jsonschema.builtin_schemas.vendor") / "compose-spec.json").read_text(encoding="utf-8")
    schema: JsonObject = json.loads(text)
    return schema


def test_the_file_fits_the_compose_specification() -> None:
    errors = Draft7Validator(_compose_schema()).iter_errors(_compose())
    assert [f"{error.json_path}: {error.message}" for error in errors] == []


@pytest.mark.parametrize("part", [{"depends_on": {"topics": {"condition": "soon"}}}, {"helthcheck": {}}, {"ports": 1}])
def test_a_broken_service_is_found(part: JsonObject) -> None:
    broken = _compose() | {"services": _compose()["services"] | {"api": _service("api") | part}}
    assert not Draft7Validator(_compose_schema()).is_valid(broken)


def test_there_are_three_brokers_and_our_own_containers() -> None:
    assert set(_compose()["services"]) == {*BROKERS, *OURS}


@pytest.mark.parametrize("name", OURS)
def test_our_containers_get_settings_that_exist_and_fit(name: str) -> None:
    ours = {key: value for key, value in _environment(name).items() if key.startswith(PREFIX)}
    assert ours.keys() == _environment(name).keys()
    settings = load_settings(ours)
    assert settings.kafka_bootstrap_servers == "kafka-1:19092,kafka-2:19092,kafka-3:19092"
    assert settings.topic_prefix == Settings().topic_prefix


@pytest.mark.parametrize("name", OURS)
def test_our_containers_run_commands_that_exist(name: str) -> None:
    assert "hotswap-stream " + " ".join(_service(name)["command"]) in command_names()
    assert 'ENTRYPOINT ["hotswap-stream"]' in _dockerfile()


@pytest.mark.parametrize("name", OURS)
def test_secrets_come_from_the_environment_only(name: str) -> None:
    for key, value in _service(name)["environment"].items():
        if re.search(r"PASSWORD|SECRET|ACCESS_KEY|API_KEY", key):
            assert value == f"${{{key}:-}}", key
    for line in _dockerfile().splitlines():
        assert not re.match(r"\s*(ARG|ENV)\b.*(PASSWORD|SECRET|TOKEN|ACCESS_KEY|API_KEY)", line), line


@pytest.mark.parametrize("name", BROKERS)
def test_brokers_listen_where_clients_are_sent(name: str) -> None:
    environment = _environment(name)
    node = int(environment["KAFKA_NODE_ID"])
    assert name == f"kafka-{node}" == _service(name)["hostname"]
    advertised = dict(entry.split("://") for entry in environment["KAFKA_ADVERTISED_LISTENERS"].split(","))
    listeners = dict(entry.split("://") for entry in environment["KAFKA_LISTENERS"].split(","))
    assert listeners.keys() == {"CONTROLLER", *advertised}
    assert advertised["INTERNAL"] == f"{name}{listeners['INTERNAL']}"
    (published,) = _service(name)["ports"]
    host, host_port, container_port = published.split(":")
    assert host == "127.0.0.1"
    assert advertised["HOST"] == f"localhost:{host_port}"
    assert listeners["HOST"] == f":{container_port}"
    voters = dict(entry.split("@") for entry in environment["KAFKA_CONTROLLER_QUORUM_VOTERS"].split(","))
    assert voters[str(node)] == f"{name}{listeners['CONTROLLER']}"
    assert len(voters) == len(BROKERS)
    assert advertised["INTERNAL"] in (load_settings(_environment("api")).kafka_bootstrap_servers or "").split(",")
    assert f"$$HOSTNAME{listeners['INTERNAL']} " in _service(name)["healthcheck"]["test"][1]


@pytest.mark.parametrize("name", BROKERS)
def test_brokers_keep_topics_as_our_code_creates_them(name: str) -> None:
    """No topic is configured here: `hotswap-stream topics` creates them from hotswap_events.topics, and nobody else."""
    environment = _environment(name)
    assert environment["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert _service("topics")["command"] == ["topics"]
    for spec in Topics().control_specs():
        assert environment["KAFKA_DEFAULT_REPLICATION_FACTOR"] == str(spec.replicas)
        assert environment["KAFKA_MIN_INSYNC_REPLICAS"] == spec.config(brokers=len(BROKERS))["min.insync.replicas"]
    for key, value in environment.items():
        if key.endswith("REPLICATION_FACTOR"):
            assert value == str(len(BROKERS)), key
    assert len(msgspec.json.encode(environment["CLUSTER_ID"])) == 24, "22 characters of base64: a UUID"
    assert len({_environment(broker)["CLUSTER_ID"] for broker in BROKERS}) == 1


def test_everything_waits_for_what_it_needs() -> None:
    services = _compose()["services"]
    assert set(_service("topics")["depends_on"]) == set(BROKERS)
    for name in ("agents", "api", "worker"):
        assert _service(name)["depends_on"] == {"topics": {"condition": "service_completed_successfully"}}
    for service in services.values():
        for needed, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "test" in services[needed]["healthcheck"]


@pytest.mark.parametrize("name", ["agents", "worker"])
def test_each_process_is_asked_whether_it_can_do_its_work(name: str) -> None:
    """By its default name, in the folder that it has for itself or shares, and before a sign of it is too old."""
    check, service = _service(name)["healthcheck"], _service(name)
    assert check["test"] == ["CMD", "hotswap-stream", "healthy", *service["command"]]
    assert "hotswap-stream healthy" in command_names()
    assert "HOTSWAP_HOME" not in _environment(name), "the image's"
    assert float(check["interval"].removesuffix("s")) * check["retries"] >= AGE_SECONDS_MAX
    assert float(check["timeout"].removesuffix("s")) < float(check["interval"].removesuffix("s"))


def test_data_is_kept_in_volumes_of_its_own() -> None:
    mounts = {broker: _service(broker)["volumes"] for broker in BROKERS}
    assert mounts == {broker: [f"{broker}:{_environment(broker)['KAFKA_LOG_DIRS']}"] for broker in BROKERS}
    for name in OURS:
        assert _service(name)["volumes"] == ["hotswap:/var/lib/hotswap"]
    assert set(_compose()["volumes"]) == {*BROKERS, "hotswap"}
    assert "HOTSWAP_HOME=/var/lib/hotswap" in _dockerfile()


def test_nothing_is_published_beyond_loopback() -> None:
    published = [port for service in _compose()["services"].values() for port in service.get("ports", ())]
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert len({port.split(":")[1] for port in published}) == len(published)
    api = load_settings(_environment("api"))
    assert _service("api")["ports"] == [f"127.0.0.1:{api.api_port}:{api.api_port}"]
    assert api.api_open is None, "closed to whoever has no key"
    assert AllowedHosts(parse_allowed_hosts(api.api_allowed_hosts)).allow(b"api:8000")
    assert f":{api.api_port}/" in _service("api")["healthcheck"]["test"][-1]


def test_images_are_pinned_and_extras_exist() -> None:
    for name in BROKERS:
        assert re.fullmatch(r"apache/kafka:\d+\.\d+\.\d+", _plain(_service(name)["image"]))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for name in OURS:
        service = _service(name)
        assert service["image"].endswith(f":{project['version']}")
        assert set(service["build"]["args"]["EXTRAS"].split(",")) <= project["optional-dependencies"].keys()
    bases = re.findall(r"^ARG PYTHON_IMAGE=(\S+)", _dockerfile(), re.MULTILINE)
    assert bases
    assert all(re.fullmatch(r"python:3\.\d+-slim", base) for base in bases)


def test_the_image_runs_as_an_ordinary_user_on_pinned_versions() -> None:
    final_stage = _dockerfile().rpartition("\nFROM ")[2]
    assert re.search(r"^USER hotswap$", final_stage, re.MULTILINE)
    installs = re.findall(r"pip install ([^\n&]*)", _dockerfile())
    assert installs
    assert all("--require-hashes" in install or "--no-deps" in install for install in installs)
    assert all("-c constraints-hashes.txt" in install for install in installs if "-r requirements.txt" in install)
    copied = {
        source
        for line in _dockerfile().splitlines()
        if line.startswith("COPY ") and "--from=" not in line
        for source in line.split()[1:-1]
    }
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == allowed
    assert all((ROOT / source).exists() for source in copied)
