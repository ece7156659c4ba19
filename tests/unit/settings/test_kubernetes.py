"""The manifests for Kubernetes: the schemas that Kubernetes publishes, and agreement with our code.

No cluster is needed: the schemas come with the development dependency kubernetes-validate.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import typer.main
import yaml

from hotswap_events.topics import Topics
from hotswap_stream.cli.app import build_app
from hotswap_stream.settings import PREFIX, load_settings
from tests.support.checkout import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
BASE = FOLDER / "base"
VERSION = "1.32"
BEYOND_KUBERNETES = ("kustomize.config.k8s.io", "keda.sh")
PROBES = {"/livez", "/readyz", "/api/health/live", "/api/health/ready"}

JsonObject = dict[str, Any]


def _documents(folder: Path = FOLDER) -> Iterator[tuple[str, JsonObject]]:
    for file in sorted(folder.rglob("*.yaml")):
        for number, document in enumerate(yaml.safe_load_all(file.read_text(encoding="utf-8"))):
            yield f"{file.relative_to(FOLDER)}#{number}", document


DOCUMENTS = dict(_documents())
OF_BASE = {name: document for name, document in DOCUMENTS.items() if name.startswith("base/")}
SETTINGS = OF_BASE["base/settings.yaml#0"]["data"]


def _pods(documents: dict[str, JsonObject] = OF_BASE) -> Iterator[tuple[str, JsonObject]]:
    for name, document in documents.items():
        spec = document.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if "template" in spec:
            yield name, spec["template"]["spec"]


PODS = dict(_pods())


def _of_kubernetes(document: JsonObject) -> bool:
    return not str(document["apiVersion"]).startswith(BEYOND_KUBERNETES)


@pytest.mark.parametrize("name", [name for name, document in OF_BASE.items() if _of_kubernetes(document)])
def test_it_fits_the_schema_of_kubernetes(name: str) -> None:
    kubernetes_validate.validate(OF_BASE[name], VERSION, strict=True)


def test_the_schema_can_refuse() -> None:
    wrong = {**OF_BASE["base/api.yaml#0"], "speck": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSION, strict=True)


def test_kustomizations_name_every_file_and_patches_what_is_there() -> None:
    base = DOCUMENTS["base/kustomization.yaml#0"]
    assert {*base["resources"], "kustomization.yaml"} == {path.name for path in BASE.iterdir()}
    overlay = DOCUMENTS["overlays/production/kustomization.yaml#0"]
    assert overlay["resources"] == ["../../base"]
    there = {
        (document["kind"], document["metadata"]["name"]) for document in OF_BASE.values() if "metadata" in document
    }
    for patch in overlay["patches"]:
        document = DOCUMENTS[f"overlays/production/{patch['path']}#0"]
        assert (document["kind"], document["metadata"]["name"]) in there
    images = {container["image"].partition(":")[0] for _, pod in _pods() for container in pod["containers"]}
    assert {image["name"] for image in overlay["images"]} == images


@pytest.mark.parametrize("name", PODS)
def test_every_pod_is_confined(name: str) -> None:
    pod = PODS[name]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert f"--uid {pod['securityContext']['runAsUser']}" in (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert pod["automountServiceAccountToken"] is False
    for container in pod["containers"]:
        context, resources = container["securityContext"], container["resources"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert {"cpu", "memory"} <= set(resources["requests"])
        assert "memory" in resources["limits"]
        assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/var/lib/hotswap", "/tmp"}
    assert {volume["name"] for volume in pod["volumes"]} == {"home", "tmp"}


@pytest.mark.parametrize("name", PODS)
def test_every_command_with_its_options_exists(name: str) -> None:
    (container,) = PODS[name]["containers"]
    orders = [container["args"]]
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if "exec" in container.get(probe, {}):
            program, *order = container[probe]["exec"]["command"]
            assert program == "hotswap-stream"
            orders.append(order)
    for order in orders:
        command: Any = typer.main.get_command(build_app())
        words = list(order)
        while hasattr(command, "commands") and (words or not command.invoke_without_command):
            command = command.commands[words.pop(0)]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options
        given = {entry["name"] for entry in container.get("env", ())}
        assert {word[2:-1] for word in words if word.startswith("$(")} <= given


def test_every_setting_exists_and_is_read() -> None:
    names = dict(SETTINGS)
    for document in (DOCUMENTS["overlays/production/settings.yaml#0"],):
        names |= document["data"]
    for _, pod in _pods():
        for container in pod["containers"]:
            names |= {each["name"]: each.get("value", "x") for each in container.get("env", ())}
    ours = {name: value for name, value in names.items() if name.startswith(PREFIX)}
    assert set(names) - set(ours) == {"POD_NAME", "JOB_NAME"}
    load_settings({name: value for name, value in ours.items() if name in SETTINGS})
    known = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    assert [name for name in ours if f"`{name}`" not in known] == []


def test_ports_and_probes_are_those_that_the_processes_serve() -> None:
    ports = {"http": int(SETTINGS["HOTSWAP_API_PORT"]), "metrics": int(SETTINGS["HOTSWAP_METRICS_PORT"])}
    probed = set()
    for _, pod in _pods():
        for container in pod["containers"]:
            for port in container.get("ports", ()):
                assert ports[port["name"]] == port["containerPort"]
            for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
                if "httpGet" in container.get(probe, {}):
                    probed.add(container[probe]["httpGet"]["path"])
                    assert container[probe]["httpGet"]["port"] in ports
    assert probed == PROBES
    service = OF_BASE["base/api.yaml#1"]["spec"]
    assert service["ports"] == [{"name": "http", "port": ports["http"], "targetPort": "http"}]
    opened = {
        port["port"]
        for name in ("base/network-policy.yaml#0", "base/network-policy.yaml#1")
        for rule in OF_BASE[name]["spec"]["ingress"]
        for port in rule["ports"]
    }
    assert opened == set(ports.values())


def test_the_scaler_looks_at_the_groups_and_topics_of_the_product() -> None:
    spec = OF_BASE["base/scaler.yaml#0"]["spec"]
    topics = Topics(SETTINGS["HOTSWAP_TOPIC_PREFIX"])
    workers = OF_BASE["base/workers.yaml#0"]
    assert spec["scaleTargetRef"]["name"] == workers["metadata"]["name"]
    assert "replicas" not in workers["spec"], "the scaler says how many"
    assert spec["maxReplicaCount"] <= int(SETTINGS["HOTSWAP_REQUEST_PARTITIONS"])
    for trigger in spec["triggers"]:
        found, model = trigger["metadata"], trigger["metadata"]["topic"].rpartition(".")[2]
        assert (found["topic"], found["consumerGroup"]) == (topics.requests(model), topics.workers_group(model))
        assert found["bootstrapServers"] == SETTINGS["HOTSWAP_KAFKA_BOOTSTRAP_SERVERS"]
