"""`python -m examples.scenarios.lifecycle`: see the README beside this file. `--short` is what the tests run."""

import argparse
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from examples.scenarios.lifecycle.asking import (
    MODEL,
    Traffic,
    active,
    fired,
    loaded,
    mlflow_client,
    passed,
    rolled_back,
    stage_of,
    triggers,
)
from examples.scenarios.lifecycle.federated import CLIENTS, CLIENTS_FOLDER, World, clients_in, federated, graph
from examples.scenarios.past import set_policy_days_ago
from examples.scenarios.running import Stage, finish, running
from hotswap_events.training.policy import ScheduleTrigger, TrainingPolicy

ACCURACY_MIN = 0.8
WEEKLY = "0 2 * * 0"
TRAINED = {"trainer": "federated", "cooldown_seconds": 0.0}
DROP, LABELS = 0.1, 150
DRIFT, WINDOW_S, WINDOW_ANSWERS = 0.1, 2.0, 20
BRIGHTER = 1.0
EXAMPLE_MLMODEL = "flavors:\n  onnx: {data: model.onnx, onnx_version: 1.19.0}\nmlflow_version: 3.0.0\n"
HELD = "5500"
"""Bytes that a worker holds beside the active version: one more of these small models, that of a rollout."""


def main() -> int:
    """Return 0 when all promises were held."""
    parser = argparse.ArgumentParser(prog="python -m examples.scenarios.lifecycle")
    parser.add_argument("--short", action="store_true", help="fewer answers until the better version is promoted")
    short = parser.parse_args().short
    began_s = time.monotonic()
    world = World()
    with tempfile.TemporaryDirectory(prefix="hotswap-federated-") as folder:
        clients, models = Path(folder, "clients"), Path(folder, "models")
        clients.mkdir()
        models.mkdir()
        world.give(clients, night=0.0)
        settings = {
            CLIENTS_FOLDER: str(clients),
            "HOTSWAP_PLUGIN_MODULES": "examples.scenarios.lifecycle.federated",
            "HOTSWAP_MLFLOW_FILE_ROOTS": str(models),
            "HOTSWAP_WORKER_MEMORY_BYTES_MAX": HELD,
        }
        with running(settings=settings) as stage:
            stages = by_mlflow(stage, world, clients, models)
            dropped = quality_drops(stage, world, clients, answers_min=60 if short else 200)
            drifted = inputs_drift(stage, world, clients)
            weekly = week_passes(stage)
            back = deployment_fails(stage, weekly["version"])
            kept = history(stage)
    promises = {
        "a checkpoint below 80 % ends archived": stages["round_1"]["stage"] == "Archived",
        "none, staging, production, by MLflow's client": stages["steps"] == ["None", "Staging", "Production"],
        "the production model is loaded by MLflow's name": stages["loaded"],
        "while quality was good nothing started": dropped["before"] == 0,
        "a drop in quality started a run": dropped["trigger"] == "quality",
        "the better version was promoted by itself": dropped["active"] == dropped["version"],
        "it is better where the other one was bad": dropped["accuracy_after"] > dropped["accuracy_before"] + DROP,
        "nothing was lost meanwhile": dropped["errors"] == drifted["errors"] == 0,
        "inputs as in training started nothing": drifted["before"] == 0,
        "a Kolmogorov-Smirnov drift started a run": drifted["trigger"] == "drift",
        "a person was asked before it went on": drifted["stage"] == "Staging",
        "the week's time started a run": weekly["trigger"] == "schedule",
        "a failed deployment rolled back by itself": back["active"] == back["before"]
        and back["cause"] == "load-failed",
        "all that was in production can still be loaded": kept["production_artifacts_kept"],
        "the past can be asked": kept["active_before_the_drop"] == "v2",
    }
    figures = {
        "stages": stages,
        "quality": dropped,
        "drift": drifted,
        "schedule": weekly,
        "rollback": back,
        "history": kept,
    }
    return finish("lifecycle", began_s, figures, promises)


def by_mlflow(stage: Stage, world: World, clients: Path, models: Path) -> dict[str, Any]:
    """Register two checkpoints by MLflow's client, and lead the better one to production."""
    client = mlflow_client(stage)
    held_out = models.parent / "held-out.npz"
    x, labels = world.seen(600, night=0.15)
    np.savez(held_out, x=x, labels=labels)
    client.create_registered_model(MODEL, description="What the clients have learned together.")
    made: dict[int, str] = {}
    for rounds in (1, 10):
        weights = federated(clients_in(clients), rounds, 0, lambda _number, _weights: None)
        folder = models / f"global_round_{rounds}"
        folder.mkdir()
        (folder / "MLmodel").write_text(EXAMPLE_MLMODEL)
        (folder / "model.onnx").write_bytes(graph(weights))
        tags = {"round": str(rounds), "clients": str(CLIENTS)}
        version = client.create_model_version(MODEL, folder.as_uri(), f"fl-{rounds}", tags=tags)
        made[rounds] = version.version
        if rounds == 1:
            stage.command("validation-set", "choose", MODEL, str(held_out), "--reason", "labelled by people")
            gate = {"figure": "accuracy", "threshold": ACCURACY_MIN}
            stage.put(f"{MODEL}/validation-policy", {"policy": {"gates": [gate]}})
        stage.command("evaluate", MODEL, f"v{version.version}", may_fail=True)
    steps = [stage_of(client, made[10])]
    for step in ("Staging", "Production"):
        client.transition_model_version_stage(MODEL, made[10], step)
        steps.append(stage_of(client, made[10]))
    stage.say(f"round 10 went {' → '.join(steps)}; round 1 is {stage_of(client, made[1])}")
    figures = [
        stage.client.version(MODEL, f"v{number}")["validation"]["figures"]["accuracy"] for number in made.values()
    ]
    return {
        "steps": steps,
        "round_1": {"stage": stage_of(client, made[1]), "accuracy": round(figures[0], 3)},
        "round_10": {"stage": steps[-1], "accuracy": round(figures[1], 3)},
        "loaded": loaded(stage, f"models:/{MODEL}/Production", models.parent / "downloaded"),
    }


def quality_drops(stage: Stage, world: World, clients: Path, *, answers_min: int) -> dict[str, Any]:
    """Let it become night: answers are worse, a run starts, and the version that comes of it earns its place."""
    metric = {"metric": "accuracy", "margin": 0.0}
    after = {
        "strategy": {"kind": "canary", "weight": 5_000},
        "policy": {"metrics": [metric], "answers_min": answers_min, "seconds_max": 600},
    }
    quality = {"metric": "accuracy", "drop": DROP, "labels_min": LABELS}
    stage.put(
        f"{MODEL}/training-policy", {"policy": {**TRAINED, "cooldown_seconds": 600, "quality": quality, "after": after}}
    )
    stage.serves(MODEL, "v2")
    traffic = Traffic(stage, world)
    stage.wait("the best quality", lambda: traffic.asked(night=0.0) and triggers(stage).get("peak"))
    before = len(fired(stage))
    world.give(clients, night=0.5)
    stage.say("night falls")
    accuracy_before = traffic.accuracy(night=0.5)
    stage.wait("a run", lambda: traffic.asked(night=0.5) and fired(stage))
    times = {"dropped": time.monotonic()}
    stage.say(f"a run starts: {fired(stage)[-1]['detail']}")
    version = passed(stage)
    times["trained"] = time.monotonic()
    stage.say(f"{version} is better on what people labelled; half of the users get it")
    stage.wait("the promotion", lambda: traffic.asked(night=0.5) and active(stage) == version)
    times["promoted"] = time.monotonic()
    stage.serves(MODEL, version)
    accuracy_after = traffic.accuracy(night=0.5)
    stage.say(f"{version} was promoted: {accuracy_before:.0%} → {accuracy_after:.0%} at night")
    return {
        "before": before,
        "trigger": fired(stage)[-1]["trigger"],
        "detail": fired(stage)[-1]["detail"],
        "version": version,
        "active": active(stage),
        "accuracy_before": accuracy_before,
        "accuracy_after": accuracy_after,
        "errors": traffic.errors,
        "seconds_trigger_to_version": round(times["trained"] - times["dropped"], 1),
        "seconds_version_to_promotion": round(times["promoted"] - times["trained"], 1),
    }


def inputs_drift(stage: Stage, world: World, clients: Path) -> dict[str, Any]:
    """Let other cameras come: inputs are no longer those of the training. A run starts; a person is asked."""
    drift = {
        "metric": "input-drift",
        "limit": DRIFT,
        "consecutive": 2,
        "window_seconds": WINDOW_S,
        "answers_min": WINDOW_ANSWERS,
    }
    stage.put(f"{MODEL}/training-policy", {"policy": {**TRAINED, "drift": drift, "after": "ask"}})
    traffic, count = Traffic(stage, world), len(fired(stage))
    until_s = time.monotonic() + 4 * WINDOW_S
    while time.monotonic() < until_s:
        traffic.flooded(night=0.5)
    before = len(fired(stage)) - count
    world.give(clients, night=0.5, brightness=BRIGHTER)
    stage.say("brighter cameras")
    stage.wait("a run", lambda: traffic.flooded(night=0.5, brightness=BRIGHTER) and len(fired(stage)) > count + before)
    stage.say(f"a run starts: {fired(stage)[-1]['detail']}")
    version = passed(stage)
    client = mlflow_client(stage)
    number = version.removeprefix("v")
    stage.wait("the question", lambda: stage_of(client, number) == "Staging")
    asked_a_person = stage_of(client, number)
    client.transition_model_version_stage(MODEL, number, "Production")
    stage.serves(MODEL, version)
    stage.say(f"{version} was in staging until a person promoted it by MLflow's client")
    return {
        "before": before,
        "trigger": fired(stage)[-1]["trigger"],
        "detail": fired(stage)[-1]["detail"],
        "version": version,
        "stage": asked_a_person,
        "active": active(stage),
        "errors": traffic.errors,
    }


def week_passes(stage: Stage) -> dict[str, Any]:
    """Say that every Sunday at two a run starts, as if that had been said eight days ago."""
    policy = TrainingPolicy(
        trainer="federated", cooldown_seconds=0.0, schedule=ScheduleTrigger(cron=WEEKLY), after="nothing"
    )
    set_policy_days_ago(stage.kafka, MODEL, policy, days=8, reason="every Sunday at two")
    stage.wait("Sunday", lambda: fired(stage)[-1]["trigger"] == "schedule")
    slot = fired(stage)[-1]["slot"]
    version = passed(stage)
    stage.say(f"the run of {slot} gave {version}")
    return {
        "trigger": fired(stage)[-1]["trigger"],
        "slot": slot,
        "is_sunday_at_two": datetime.fromisoformat(slot).strftime("%a %H:%M") == "Sun 02:00",
        "version": version,
    }


def deployment_fails(stage: Stage, version: str) -> dict[str, Any]:
    """Promote a version whose file was damaged meanwhile, by MLflow's client."""
    before = active(stage)
    stage.damage(stage.client.version(MODEL, version)["artifact"]["digest"])
    client, number = mlflow_client(stage), version.removeprefix("v")
    client.transition_model_version_stage(MODEL, number, "Production")
    log = stage.wait("the rollback", lambda: rolled_back(stage))
    stage.say(f"{version} could not be loaded: {before} goes on")
    return {
        "version": version,
        "before": before,
        "active": active(stage),
        "cause": log[-1]["event"]["data"]["cause"],
        "stage": stage_of(client, number),
    }


def history(stage: Stage) -> dict[str, Any]:
    """Ask for what was."""
    versions = stage.client.versions(MODEL)["versions"]
    log = stage.client.events(model_name=MODEL, limit=1_000)["events"]
    promoted = [entry for entry in log if entry["event"]["type"] == "hotswap.model.promoted.v1"]
    past = stage.get(f"/api/models/{MODEL}?as_of_offset={promoted[1]['offset'] - 1}")
    served = [each for each in versions if each["stage"] in ("production", "superseded")]
    return {
        "versions": {each["model_version"]: each["stage"] for each in versions},
        "events": len(log),
        "runs": [each["trigger"] for each in fired(stage)],
        "promotions": len(promoted),
        "active_before_the_drop": past["active_version"],
        "production_artifacts_kept": bool(served) and all(not each.get("artifact_deleted") for each in served),
    }


if __name__ == "__main__":
    sys.exit(main())
