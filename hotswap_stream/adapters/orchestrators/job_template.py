"""The Job of one run, made of the template that the operator of the runner wrote."""

import copy
import math
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

from hotswap_stream.adapters.orchestrators.desk import ReportedRun
from hotswap_stream.errors import ConfigurationError

TEMPLATE_BYTES_MAX = 256 * 1024
CONTAINER = "trainer"
"""Name of the container that does the run; without one of this name it is the first."""
URL_VARIABLE = "HOTSWAP_RUN_URL"
KEY_VARIABLE = "HOTSWAP_RUN_KEY"
LABEL = "hotswap.dev/run"
KEPT_SECONDS = 3_600
"""How long the cluster keeps a Job that ended and that nobody deleted, as when its runner was killed."""
START_SECONDS = 600
"""The part of a Job's time that is for its pod to be scheduled and its image to be fetched."""

Json = dict[str, Any]


def read_template(file: Path) -> Json:
    """Return a template. ConfigurationError, which says what it lacks."""
    try:
        with file.open("rb") as opened:
            content = opened.read(TEMPLATE_BYTES_MAX + 1)
        if len(content) > TEMPLATE_BYTES_MAX:
            raise ConfigurationError(f"{file}: a template may have {TEMPLATE_BYTES_MAX} bytes")
        found = yaml.safe_load(content)
    except OSError as error:
        raise ConfigurationError(f"{file}: the template of a Job cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{file}: that is no YAML: {error}") from error
    if not isinstance(found, dict) or (found.get("apiVersion"), found.get("kind")) != ("batch/v1", "Job"):
        raise ConfigurationError(f"{file}: a Job of batch/v1 is needed")
    containers = _containers(found)
    if not containers:
        raise ConfigurationError(f"{file}: spec.template.spec.containers names no container")
    return found


def namespace_of(template: Json, account: Path) -> str:
    """Return where its Jobs are created. ConfigurationError where neither it nor the account says."""
    named = template.get("metadata")
    found = named.get("namespace") if isinstance(named, dict) else None
    if isinstance(found, str) and found:
        return found
    try:
        return (account / "namespace").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the template names no namespace, and {account} has none: {error}") from error


def job_for(template: Json, run: ReportedRun, url: str) -> Json:
    """Return the Job of a run: one attempt, in the time that the run may take, with where to report.

    The key stands in the Job's environment: it opens this run's reports and nothing else, until the run is over.
    """
    job, order = copy.deepcopy(template), run.order
    name = f"hotswap-run-{sha256(f'{order.run_id} {run.key}'.encode()).hexdigest()[:20]}"
    metadata = job["metadata"] = _mapping(job.get("metadata"))
    metadata["name"] = name
    metadata.pop("generateName", None)
    spec = job["spec"]
    pod_metadata = spec["template"]["metadata"] = _mapping(spec["template"].get("metadata"))
    for each in (metadata, pod_metadata):
        each["labels"] = {**_mapping(each.get("labels")), LABEL: name}
        each["annotations"] = {
            **_mapping(each.get("annotations")),
            "hotswap.dev/run-id": order.run_id,
            "hotswap.dev/model": order.model_name,
            "hotswap.dev/trainer": order.trainer,
        }
    spec["backoffLimit"] = 0
    spec["activeDeadlineSeconds"] = START_SECONDS + math.ceil(order.seconds_max)
    spec.setdefault("ttlSecondsAfterFinished", KEPT_SECONDS)
    spec["template"]["spec"]["restartPolicy"] = "Never"
    container = trainer_container(job)
    kept = [each for each in container.get("env") or () if each.get("name") not in (URL_VARIABLE, KEY_VARIABLE)]
    container["env"] = [*kept, {"name": URL_VARIABLE, "value": url}, {"name": KEY_VARIABLE, "value": run.key}]
    return job


def trainer_container(job: Json) -> Json:
    """Return the container that does the run."""
    containers = _containers(job)
    return next((each for each in containers if each.get("name") == CONTAINER), containers[0])


def _containers(job: Json) -> list[Json]:
    found: Any = job
    for name in ("spec", "template", "spec", "containers"):
        found = found.get(name) if isinstance(found, dict) else None
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _mapping(found: object) -> Json:
    return dict(found) if isinstance(found, dict) else {}
