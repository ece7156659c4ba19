"""`python -m examples.scenarios.storage_hints`: see the README beside this file. `--short` is what the tests run."""

import argparse
import sys
import time
from typing import Any

import numpy as np

from examples.scenarios.running import Stage, finish, rows_of, running
from examples.scenarios.storage_hints import models
from hotswap_stream.client import publish

COMPRESSION, PREFETCH, NETWORK = "compression-predictor", "prefetch-engine", "network-optimizer"
DEDUP, PEERS = "dedup-optimizer", "peer-selector"
KEEP = 3
HELD_OUT = "1,000 blocks that no model was fitted to"
ERROR_RATE_MAX = 0.02
"""Share of the answers of a minute. The circuit opens after some 20 errors: of the 700 requests here that is 0.028."""
LATENCY_MS_MAX = 50.0


def main() -> int:
    """Return 0 when all promises were held."""
    parser = argparse.ArgumentParser(prog="python -m examples.scenarios.storage_hints")
    parser.add_argument("--short", action="store_true", help="fewer requests")
    short = parser.parse_args().short
    began_s = time.monotonic()
    with running() as stage:
        five = five_models(stage)
        experiment = compression_experiment(stage, requests=2_400 if short else 4_000)
        failure = one_fails(stage, requests=200 if short else 600)
        kept = newest_three(stage)
    promises = {
        "one worker serves five models": five["workers"] == 1 and five["models_serving"] == 5,
        "every model answered": five["errors"] == 0,
        "5 % of the users were in the experiment": 0.02 < experiment["share"] < 0.09,
        "the better version is significantly better": experiment["significant"],
        "the advice is followed by one command": experiment["active"] == "v2",
        "the circuit opened by itself": failure["circuit"] != "closed",
        "the heuristic answers for the failed model": failure["answered_by_heuristic"] > 0,
        "after that nobody got an error": failure["errors_after"] == 0,
        "an alert was raised": bool(failure["alerts"]),
        "the newest three are kept": kept["artifacts_left"] == KEEP,
    }
    figures = {"five models": five, "experiment": experiment, "failure": failure, "clean-up": kept}
    return finish("storage-hints", began_s, figures, promises)


def five_models(stage: Stage) -> dict[str, Any]:
    """Publish five models and ask each."""
    stage.say("fitting and publishing five models, three of torch and two of scikit-learn")
    x, codec = models.blocks(400, 9)
    weak = models.classifier(models.Network(models.CODECS, 0), rows=60, epochs=6)
    made = {
        COMPRESSION: weak,
        PREFETCH: models.classifier(models.Network(models.CODECS, 5), rows=2_000, epochs=60),
        NETWORK: models.regressor(models.Network(1, 6), epochs=60),
        DEDUP: models.forest(),
        PEERS: models.peers(1.0),
    }
    for name, model in made.items():
        version = publish(model, name, example=_example(model, x), url=stage.url, progress=False).model_version
        if name == COMPRESSION:
            stage.client.validate(name, version, {"accuracy": models.accuracy(weak)}, HELD_OUT, promote_first=True)
        else:
            stage.client.switch(name, version, reason="the first one")
        stage.say(f"{name}: {version} is in production")
    errors = 0
    for name in made:
        stage.serves(name, "v1")
        errors += stage.ask(name, rows_of(x[:50])).errors
    fleets = [stage.get(f"/api/models/{name}/fleet")["workers"] for name in made]
    workers = {worker["worker"] for fleet in fleets for worker in fleet}
    return {
        "models_serving": sum(bool(fleet) for fleet in fleets),
        "workers": len(workers),
        "errors": errors,
        "accuracy_first": _accuracy(stage, x, codec),
    }


def compression_experiment(stage: Stage, *, requests: int) -> dict[str, Any]:
    """Give a better version to 5 % of the users, tell what became of its hints, and follow the advice."""
    better = models.classifier(models.Network(models.CODECS, 1), rows=4_000, epochs=120)
    x, codec = models.blocks(requests, 10)
    publish(better, COMPRESSION, example=_example(better, x[:200]), url=stage.url, progress=False)
    figures = {"accuracy": models.accuracy(better)}
    before = stage.client.version(COMPRESSION, "v1")["validation"]["figures"]
    stage.client.validate(
        COMPRESSION, "v2", figures, HELD_OUT, baseline_version="v1", baseline_figures={"accuracy": before["accuracy"]}
    )
    stage.client.start_rollout(
        COMPRESSION,
        ["v2"],
        {"kind": "canary", "weight": 500},
        policy={
            "metrics": [
                {"metric": "accuracy", "margin": 0.02},
                {"metric": "success-rate", "margin": 0.05},
                {"metric": "latency", "threshold": 0.2, "slow_ms": LATENCY_MS_MAX},
            ],
            "answers_min": 50,
            "auto_promote": False,
        },
        reason="ml_compression_rollout",
    )
    stage.say("an experiment: 5 % of the users get v2; what its hints were worth comes back as feedback")
    stage.serves(COMPRESSION, "v2")
    users = [f"user-{number}" for number in range(requests)]
    answers = stage.ask(COMPRESSION, rows_of(x), users)
    _judge(stage, COMPRESSION, answers.places, codec)
    report = stage.wait("the advice", lambda: _advised(stage))
    accuracy = next(lift for lift in report["lifts"] if lift["metric"] == "accuracy")
    stage.say(f"advice: {report['advice']}")
    stage.client.promote_rollout(COMPRESSION, reason="as advised")
    return {
        "requests": requests,
        "share": round(answers.versions.count("v2") / requests, 4),
        "lift_accuracy": round(accuracy["difference"], 4),
        "lift_lower": None if accuracy["lower"] is None else round(accuracy["lower"], 4),
        "p_value": accuracy["p_better"],
        "significant": accuracy["lower"] is not None and accuracy["lower"] > 0,
        "advice": report["advice"],
        "active": stage.client.model(COMPRESSION)["active_version"],
    }


def one_fails(stage: Stage, *, requests: int) -> dict[str, Any]:
    """Put a version into production that fails with real blocks: the circuit opens, and the heuristic answers."""
    model = COMPRESSION
    stage.command("make-heuristic", model, "--output", "0,0,1", "--use", "--reason", "when all else fails")
    policy = stage.get(f"/api/models/{model}/serving")["policy"]
    limits = {"error_rate_max": 0.2, "answers_min": 20, "window_seconds": 10.0}
    stage.put(f"{model}/serving-policy", {"policy": {**policy, **limits}})
    rules = [
        {
            "name": "error-rate",
            "metric": "error-rate",
            "above": ERROR_RATE_MAX,
            "window_seconds": 60,
            "answers_min": 20,
        },
        {"name": "slow", "metric": "latency-ms", "above": LATENCY_MS_MAX * 20, "quantile": 0.95, "window_seconds": 60},
    ]
    stage.put(f"{model}/alert-policy", {"policy": {"rules": rules}})
    fragile = models.classifier(models.Fragile(models.CODECS, 2), rows=60, epochs=0)
    x, _codec = models.blocks(requests, 11)
    safe = np.abs(x[:100])
    version = publish(fragile, model, example=_example(fragile, safe), url=stage.url, progress=False).model_version
    stage.client.switch(model, version, reason="it was fine on the examples")
    stage.serves(model, version)
    stage.say(f"{version} is in production, and fails with what it had not seen")
    x[:, 0] = -2.0
    during = stage.ask(model, rows_of(x))
    circuit = stage.wait("the circuit", lambda: _moved_circuit(stage, model, version))
    after = stage.ask(model, rows_of(x[:100]))
    alerts = stage.wait("an alert", lambda: stage.get(f"/api/models/{model}/alerts")["alerts"])
    stage.say(f"circuit {circuit}; {after.versions.count('heuristic')} of 100 answers by the heuristic")
    return {
        "version": version,
        "requests": requests,
        "errors_before": during.errors,
        "circuit": circuit,
        "answered_by_heuristic": after.versions.count("heuristic"),
        "errors_after": after.errors,
        "alerts": [alert["rule"]["name"] for alert in alerts],
    }


def newest_three(stage: Stage) -> dict[str, Any]:
    """Publish more versions of the peer selector, and keep the newest three."""
    x, _codec = models.blocks(200, 9)
    for number in range(4):
        fitted = models.peers(0.1 + number)
        version = publish(fitted, PEERS, example=x, url=stage.url, progress=False).model_version
        stage.client.archive(PEERS, version, reason="tried and put away")
    report = stage.post(f"{PEERS}/cleanup", {"keep": KEEP - 1, "apply": True, "reason": "the newest, and v1"})
    versions = stage.client.versions(PEERS)["versions"]
    left = [each["model_version"] for each in versions if not each.get("artifact_deleted")]
    stage.say(f"kept {', '.join(left)}")
    return {
        "versions": len(versions),
        "artifacts_left": len(left),
        "kept": left,
        "deleted": [each["model_version"] for each in report["deleted"]],
    }


def _example(model: Any, x: Any) -> Any:
    if not isinstance(model, models.Network):
        return x
    import torch

    return torch.from_numpy(np.ascontiguousarray(x[:64]))


def _accuracy(stage: Stage, x: Any, codec: Any) -> float:
    answers = stage.ask(COMPRESSION, rows_of(x))
    labels = [np.argmax(next(iter(outputs.values()))) for outputs in answers.outputs if outputs is not None]
    return round(float(np.mean(np.array(labels) == codec)), 4)


def _judge(stage: Stage, model: str, places: list[Any], truth: Any) -> None:
    items = [
        {
            "feedback_id": f"{model}-{number}",
            "request_partition": place[0],
            "request_offset": place[1],
            "label": int(truth[number]),
        }
        for number, place in enumerate(places)
        if place is not None
    ]
    for start in range(0, len(items), 500):
        stage.client.feedback(model, *items[start : start + 500])


def _advised(stage: Stage) -> Any:
    report = stage.client.rollout_report(COMPRESSION)
    accuracy = [lift for lift in report["lifts"] if lift["metric"] == "accuracy"]
    return report if accuracy and accuracy[0]["lower"] is not None and accuracy[0]["lower"] > 0 else None


def _moved_circuit(stage: Stage, model: str, version: str) -> str | None:
    circuits = stage.get(f"/api/models/{model}/serving")["circuits"]
    return next((each["position"] for each in circuits if each["model_version"] == version), None)


if __name__ == "__main__":
    sys.exit(main())
