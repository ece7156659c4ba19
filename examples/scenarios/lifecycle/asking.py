"""What the acts of the scenario ask with: the cameras' requests, MLflow's client, and what the log says."""

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from examples.scenarios.lifecycle.federated import World
from examples.scenarios.running import Answers, Stage, rows_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

MODEL = "fl-global-model"


class Traffic:
    """Requests with rows of the world, and what turned out about the answers."""

    def __init__(self, stage: Stage, world: World) -> None:
        self._stage, self._world = stage, world
        self.errors = self._cameras = 0

    def asked(self, *, night: float) -> bool:
        """Ask with a few rows, and tell their classes; return True."""
        x, labels = self._world.seen(60, night=night)
        answers = self._ask(rows_of(x))
        items = [
            {
                "feedback_id": f"{place[0]}-{place[1]}",
                "request_partition": place[0],
                "request_offset": place[1],
                "label": int(label),
            }
            for place, label in zip(answers.places, labels, strict=True)
            if place is not None
        ]
        self._stage.client.feedback(MODEL, *items)
        return True

    def flooded(self, *, night: float, brightness: float = 0.0) -> bool:
        """Ask with many rows, of which nobody knows the classes; return True."""
        x, _labels = self._world.seen(1_000, night=night, brightness=brightness)
        self._ask([{"x": rows} for rows in np.split(x, 25)])
        return True

    def accuracy(self, *, night: float) -> float:
        """Return the share of right answers."""
        x, labels = self._world.seen(300, night=night)
        outputs = self._ask(rows_of(x)).outputs
        right = [
            int(np.argmax(found["scores"])) == label
            for found, label in zip(outputs, labels, strict=True)
            if found is not None
        ]
        return round(float(np.mean(right)), 3)

    def _ask(self, requests: list[dict[str, Any]]) -> Answers:
        keys = [f"camera-{number}" for number in range(self._cameras, self._cameras + len(requests))]
        self._cameras += len(requests)
        answers = self._stage.ask(MODEL, requests, keys)
        self.errors += answers.errors
        return answers


def mlflow_client(stage: Stage) -> "MlflowClient":
    """Return MLflow's own client of this registry."""
    warnings.filterwarnings("ignore", category=FutureWarning)  # stages are deprecated there
    os.environ |= {"MLFLOW_REGISTRY_URI": stage.url, "MLFLOW_TRACKING_URI": stage.url}
    from mlflow import MlflowClient

    return MlflowClient()


def stage_of(client: "MlflowClient", number: str) -> str:
    """Return a version's stage, as MLflow has it."""
    return str(client.get_model_version(MODEL, number).current_stage)


def loaded(stage: Stage, uri: str, folder: Path) -> bool:
    """Return whether MLflow's client can fetch a model, and it answers as the server does."""
    import mlflow
    import onnxruntime

    mlflow.artifacts.download_artifacts(uri, dst_path=str(folder))
    (file,) = folder.rglob("*.onnx")
    x, _labels = World().seen(5, night=0.0)
    (here,) = onnxruntime.InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"]).run(None, {"x": x})
    stage.serves(MODEL, "v2")
    there = stage.client.infer(MODEL, {"x": x}).outputs["scores"]
    return bool(np.allclose(here, there, atol=1e-4))


def triggers(stage: Stage) -> Any:
    """Return what starts runs of the model."""
    return stage.get(f"/api/models/{MODEL}/triggers")


def fired(stage: Stage) -> list[Any]:
    """Return what fired, oldest first."""
    log = stage.client.events(model_name=MODEL, limit=1_000, event_type="hotswap.model.training-triggered.v1")
    return [entry["event"]["data"] for entry in log["events"]]


def active(stage: Stage) -> str:
    """Return the version in production."""
    return str(stage.client.model(MODEL)["active_version"])


def passed(stage: Stage) -> str:
    """Wait until the version of the newest run that a trigger started has passed validation; return it."""
    run_id = fired(stage)[-1]["run_id"]

    def look() -> str | None:
        run = stage.get(f"/api/models/{MODEL}/training-runs/{run_id}")
        if run["status"] in ("failed", "cancelled") or run.get("verdict", "passed") != "passed":
            raise RuntimeError(f"nothing came of the run: {run}")
        return str(run["model_version"]) if "verdict" in run else None

    return stage.wait("the run", look)


def rolled_back(stage: Stage) -> Any:
    """Return the rollbacks of the model."""
    return stage.client.events(model_name=MODEL, limit=1_000, event_type="hotswap.model.rolled-back.v1")["events"]
