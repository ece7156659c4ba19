"""The manifests of the runner of Jobs: the schemas of Kubernetes, agreement with our code, and no right too many."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from hotswap_stream.adapters.orchestrators.desk import Desk
from hotswap_stream.adapters.orchestrators.job_template import (
    KEY_VARIABLE,
    URL_VARIABLE,
    job_for,
    namespace_of,
    read_template,
    trainer_container,
)
from hotswap_stream.application.trainers.elsewhere import parse_trainer_jobs, parse_trainer_webhooks
from hotswap_stream.application.trainers.protocol import TrainerOrder
from hotswap_stream.errors import ConfigurationError
from hotswap_stream.settings import PREFIX, load_settings
from tests.support.checkout import ROOT

FOLDER = ROOT / "deploy" / "kubernetes" / "jobs"
VERSION = "1.32"
JsonObject = dict[str, Any]


def documents(name: str) -> list[JsonObject]:
    return list(yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8")))


FILES = [path.name for path in sorted(FOLDER.iterdir()) if path.name != "kustomization.yaml"]
RUNNER = documents("runner.yaml")[1]["spec"]["template"]["spec"]


@pytest.mark.parametrize("name", FILES)
def test_it_fits_the_schema_of_kubernetes(name: str) -> None:
    for document in documents(name):
        kubernetes_validate.validate(document, VERSION, strict=True)


def test_the_component_names_every_file() -> None:
    (component,) = documents("kustomization.yaml")
    named = [*component["resources"], *component["configMapGenerator"][0]["files"]]
    assert sorted(named) == FILES


def test_the_runner_gives_what_it_names_to_jobs() -> None:
    (container,) = RUNNER["containers"]
    environment = {each["name"]: each.get("value", "x") for each in container["env"]}
    ours = {name: value for name, value in environment.items() if name.startswith(PREFIX)}
    settings = load_settings(ours)
    jobs = parse_trainer_jobs(settings.trainer_jobs)
    assert sorted(jobs) == sorted((settings.trainer_names or "").split(","))
    mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    assert {str(file.parent) for file in jobs.values()} == {mounts["job"]}
    assert Path(mounts["account"]) == settings.kubernetes_account
    (port,) = container["ports"]
    service = documents("runner.yaml")[0]
    assert port["containerPort"] == settings.trainer_report_port == service["spec"]["ports"][0]["port"]
    assert settings.trainer_report_url == f"http://$(POD_NAME).{service['metadata']['name']}:{port['containerPort']}"
    policy = documents("network-policy.yaml")[0]["spec"]["ingress"][0]
    assert policy["ports"][0]["port"] == settings.trainer_report_port


def test_every_pod_is_confined_and_only_the_runner_may_ask_the_cluster() -> None:
    (job,) = documents("job.yaml")
    for pod in (RUNNER, job["spec"]["template"]["spec"]):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert "envFrom" not in job["spec"]["template"]["spec"]["containers"][0], "no password goes into a run"
    rules = documents("account.yaml")[1]["rules"]
    allowed = {(resource, verb) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}
    # What `KubernetesApi` asks, and no more.
    assert allowed == {("jobs", "create"), ("jobs", "get"), ("jobs", "delete"), ("pods", "list"), ("pods/log", "get")}


def test_a_job_is_made_of_the_template(tmp_path: Path) -> None:
    order = TrainerOrder(
        run_id=f"{'r' * 120}~2:a",
        model_name="digits",
        trainer="image-classifier",
        folder=str(tmp_path),
        seconds_max=90.5,
        memory_bytes_max=1,
        folder_bytes_max=1,
    )
    desk = Desk("http://runner-0.runners:8787", 60.0)
    template = read_template(FOLDER / "job.yaml")
    runs = [desk.open(order, tmp_path) for _ in range(2)]
    job, again = (job_for(template, run, desk.url_of(run)) for run in runs)
    kubernetes_validate.validate(job, VERSION, strict=True)
    assert job["metadata"]["name"] != again["metadata"]["name"]
    assert len(job["metadata"]["name"]) <= 52, "pods of it have names of 63 characters"
    assert (job["spec"]["backoffLimit"], job["spec"]["activeDeadlineSeconds"]) == (0, 691)
    container = trainer_container(job)
    environment = {each["name"]: each["value"] for each in container["env"]}
    assert environment[URL_VARIABLE] == f"http://runner-0.runners:8787/runs/{order.run_id}"
    assert environment[KEY_VARIABLE] == runs[0].key
    assert "env" in trainer_container(template)
    assert not {URL_VARIABLE, KEY_VARIABLE} & {each["name"] for each in trainer_container(template)["env"]}


WRONG = {
    "no YAML": "{",
    "a list": "[1]",
    "a Pod": "{apiVersion: v1, kind: Pod}",
    "no container": "{apiVersion: batch/v1, kind: Job, spec: {template: {spec: {containers: []}}}}",
    "code": "!!python/object/apply:os.system [echo]",
    "deep": "[" * 10_000,
}


@pytest.mark.parametrize("name", WRONG)
def test_a_template_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(WRONG[name])
    with pytest.raises(ConfigurationError, match=r"job\.yaml"):
        read_template(file)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_template(tmp_path / "not-there")


def test_where_jobs_are_created_must_be_known(tmp_path: Path) -> None:
    (tmp_path / "namespace").write_text("ml\n")
    assert namespace_of({}, tmp_path) == "ml"
    assert namespace_of({"metadata": {"namespace": "other"}}, tmp_path) == "other"
    with pytest.raises(ConfigurationError, match="names no namespace"):
        namespace_of({}, tmp_path / "not-there")


@pytest.mark.parametrize("text", ["name", "Name=https://x", "a=ftp://x", "a=https://u:p@x", "a=https://x;a=https://y"])
def test_orchestrators_that_do_not_fit_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="HOTSWAP_TRAINER_WEBHOOKS"):
        parse_trainer_webhooks(text)
