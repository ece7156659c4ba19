"""`python -m examples.scenarios.recommender`: see the README beside this file. `--short` is what the tests run."""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from examples.scenarios.past import set_policy_days_ago
from examples.scenarios.recommender.taste import FIRST, USERS, Recommender, Taste, fitted
from examples.scenarios.running import Answers, Stage, finish, running
from hotswap_events.training.policy import ScheduleTrigger, TrainingPolicy
from hotswap_stream.client import BlockingTopicClient, publish

MODEL = "films"
WEIGHTS = (500, 2_500, 5_000, 10_000)
ROUNDS_MAX = 120
ASKED_AT_ONCE = 100
STAGING = "staging"
STAGING_SECONDS_MAX = 120.0
NIGHTLY = "0 3 * * *"
AB_ROUND = -1


def main() -> int:
    """Return 0 when all promises were held."""
    parser = argparse.ArgumentParser(prog="python -m examples.scenarios.recommender")
    parser.add_argument("--short", action="store_true", help="fewer answers a step")
    short = parser.parse_args().short
    began_s = time.monotonic()
    taste = Taste()
    with running(settings={"HOTSWAP_PLUGIN_MODULES": "examples.scenarios.recommender.nightly"}) as stage:
        gates = gated(stage, taste)
        staging = side_by_side(stage)
        shadow = shadowed(stage)
        halves = two_halves(stage, taste)
        canary = canary_by_clicks(stage, taste, answers_min=50 if short else 200)
        back = emergency(stage)
        nightly = by_cron(stage)
    promises = {
        "HR@10 and NDCG@10 let the better one through": gates["better"]["verdict"] == "passed",
        "what knows nobody's taste ends archived": gates["worse"]["stage"] == "archived",
        "the top ten are of the user's kind": gates["top_ten_right"] > 0.5,
        "the same ten over HTTP and by topic": gates["same_by_topic"],
        "staging answers with the new one, production with the old": staging["answered"] == ["v1", "v1"]
        and staging["same_weights_as"] == "v2",
        "nobody was answered by the shadow": shadow["answered_by"] == ["v1"] and shadow["answers"] > 0,
        "A/B gives each half of the users one version, always the same": 0.35 < halves["share"] < 0.65
        and halves["moved"] == 0,
        "the canary went from 5 to 100 % by four analyses": canary["analyses"] == len(WEIGHTS),
        "clicks promoted it, by themselves": canary["active"] == "v2",
        "a user never went back to the old one": canary["went_back"] == 0,
        "nothing was lost": canary["errors"] == 0,
        "one command took it back": back["active"] == "v1" and back["answered_by"] == ["v1"],
        "the nightly training came by itself and passed": nightly["trigger"] == "schedule"
        and nightly["verdict"] == "passed",
    }
    figures = {
        "gates": gates,
        "staging": staging,
        "shadow": shadow,
        "A/B": halves,
        "canary": canary,
        "rollback": back,
        "nightly": nightly,
    }
    return finish("recommender", began_s, figures, promises)


def gated(stage: Stage, taste: Taste) -> dict[str, Any]:
    """Publish three versions; the model's own set and gates on HR@10 and NDCG@10 say which may serve."""
    chosen = taste.choices(12)
    weak = fitted(chosen[:, :], factors=2, turns=1)
    offered(stage, weak)
    stage.client.switch(MODEL, "v1", reason="the first one")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "held-out.npz"
        np.savez(file, user=np.arange(USERS)[:, None], relevance=taste.relevance())
        stage.command("validation-set", "choose", MODEL, str(file), "--reason", "what is right for whom")
    gate = {"figure": "hr_at_10", "threshold": 0.5}
    other = {"figure": "ndcg_at_10", "relative_margin": 0.05}
    stage.put(f"{MODEL}/validation-policy", {"policy": {"gates": [gate, other]}})
    better = judged(stage, fitted(chosen, factors=16, turns=8))
    worse = judged(stage, fitted(np.random.default_rng(1).permutation(chosen), factors=16, turns=8))
    stage.say(f"v2 {better}, v3 {worse}")
    answers = stage.ask(MODEL, asked(range(USERS)))
    right = [_top(outputs) % 6 == taste.kind[user] for user, outputs in enumerate(answers.outputs)]
    users = {"user": np.arange(50)[:, None]}
    with BlockingTopicClient(stage.kafka) as client:
        by_topic = client.infer(MODEL, users).outputs
    by_http = stage.client.infer(MODEL, users).outputs
    with_v2 = stage.client.infer(MODEL, {"user": np.arange(USERS)[:, None]}, model_version="v2").outputs
    kinds = _ten(next(iter(with_v2.values()))) % 6
    return {
        "better": better,
        "worse": worse,
        "same_by_topic": all(np.array_equal(_ten(by_topic[name]), _ten(by_http[name])) for name in by_http),
        "top_ten_right_v1": round(float(np.mean(right)), 3),
        "top_ten_right": round(float((kinds == taste.kind[:, None]).mean()), 3),
    }


def side_by_side(stage: Stage) -> dict[str, Any]:
    """Put v2 into production in staging, an environment of its own on the same broker, with a worker of its own."""
    digest = stage.client.version(MODEL, "v2")["artifact"]["digest"]
    stage.command("topics", as_json=False, prefix=STAGING)
    stage.command("register", MODEL, "--digest", digest, "--reason", "v2 of production", prefix=STAGING)
    stage.command("switch", MODEL, "v1", "--reason", "to be tried", prefix=STAGING)
    users = {"user": np.arange(50)[:, None]}
    with (
        stage.process("worker", "--name", "staging-1", prefix=STAGING),
        BlockingTopicClient(stage.kafka, prefix=STAGING) as client,
    ):
        there = client.infer(MODEL, users, timeout_s=STAGING_SECONDS_MAX)
    here = stage.client.infer(MODEL, users)
    stage.say("staging answers with v2's weights, production with v1's")
    versions = {stage.client.version(MODEL, name)["artifact"]["digest"]: name for name in ("v1", "v2")}
    return {
        "answered": [there.model_version, here.model_version],
        "same_weights_as": versions.get(there.artifact_digest or ""),
    }


def shadowed(stage: Stage) -> dict[str, Any]:
    """Let v2 compute beside v1 for a while; users see v1's answers alone."""
    stage.client.start_rollout(MODEL, ["v2"], {"kind": "shadow"}, reason="what would it have shown")
    stage.serves(MODEL, "v2")
    answered: set[str] = set()

    def look() -> Any:
        answered.update(version for version in stage.ask(MODEL, asked(range(50))).versions if version)
        arms = stage.client.rollout_report(MODEL)["arms"]
        return next((arm["answers"] for arm in arms if arm["model_version"] == "v2" and arm["answers"]), None)

    answers = stage.wait("the shadow's answers", look)
    stage.client.abort_rollout(MODEL, archive=False, reason="seen enough")
    stage.say(f"v2 answered {answers} requests for nobody")
    return {"answered_by": sorted(answered), "answers": answers}


def two_halves(stage: Stage, taste: Taste) -> dict[str, Any]:
    """Split the users into two halves, as `user_id % 2` does; each sees one version, however often he comes."""
    arms = [{"model_version": name, "weight": 5_000} for name in ("v1", "v2")]
    stage.client.start_rollout(MODEL, ["v2"], {"kind": "ab", "arms": arms}, reason="A/B")
    stage.serves(MODEL, "v2")
    users = list(range(USERS // 2))
    keys = [f"user-{user}" for user in users]
    seen = [stage.ask(MODEL, asked(users), keys) for _time in range(2)]
    clicked(stage, taste, AB_ROUND, users, seen[1])
    stage.client.abort_rollout(MODEL, archive=False, reason="now step by step")
    first, second = (answers.versions for answers in seen)
    share = first.count("v2") / len(users)
    stage.say(f"A/B: {share:.0%} of the users have v2")
    return {"share": round(share, 3), "moved": sum(a != b for a, b in zip(first, second, strict=True))}


def by_cron(stage: Stage) -> dict[str, Any]:
    """Say that a training starts every night, as if that had been said two days ago."""
    policy = TrainingPolicy(
        trainer="films-als", cooldown_seconds=0.0, schedule=ScheduleTrigger(cron=NIGHTLY), after="nothing"
    )
    set_policy_days_ago(stage.kafka, MODEL, policy, days=2, reason="every night")

    def look() -> Any:
        runs = stage.get(f"/api/models/{MODEL}/training-runs")["runs"]
        if runs and runs[0]["status"] in ("failed", "cancelled"):
            raise RuntimeError(f"the nightly run ended: {runs[0]}")
        return runs[0] if runs and runs[0].get("verdict") else None

    run = stage.wait("the nightly run", look)
    stage.say(f"the nightly run gave {run['model_version']}: {run['verdict']}")
    fired = stage.client.events(model_name=MODEL, limit=1_000, event_type="hotswap.model.training-triggered.v1")
    return {
        "trigger": fired["events"][-1]["event"]["data"]["trigger"],
        "slot": fired["events"][-1]["event"]["data"]["slot"],
        "version": run["model_version"],
        "verdict": run["verdict"],
    }


def canary_by_clicks(stage: Stage, taste: Taste, *, answers_min: int) -> dict[str, Any]:
    """Let v2 earn its users by what they click: 5, 25, 50, 100 %."""
    steps = [step for weight in WEIGHTS for step in ({"step": "set_weight", "weight": weight}, {"step": "analysis"})]
    policy = {
        "metrics": [{"metric": "hit-rate", "margin": 0.05, "at": FIRST}],
        "answers_min": answers_min,
        "seconds_max": 600,
    }
    stage.client.start_rollout(
        MODEL, ["v2"], {"kind": "progressive", "steps": steps}, policy=policy, reason="v2 for all"
    )
    stage.serves(MODEL, "v2")
    random, seen, weights = np.random.default_rng(5), dict[int, str](), list[int]()
    errors = went_back = asked_total = 0
    for number in range(ROUNDS_MAX):
        users = [int(user) for user in random.integers(0, USERS, ASKED_AT_ONCE)]
        answers = stage.ask(MODEL, asked(users), [f"user-{user}" for user in users])
        asked_total, errors = asked_total + len(users), errors + answers.errors
        for user, version in zip(users, answers.versions, strict=True):
            went_back += seen.get(user) == "v2" and version == "v1"
            seen[user] = version or seen.get(user, "")
        clicked(stage, taste, number, users, answers)
        rollout = stage.client.rollout(MODEL).get("rollout")
        if rollout is None or rollout["status"] != "running":
            break
        weight = _weight(rollout)
        if weight not in weights:
            weights.append(weight)
            stage.say(f"{weight / 100:g} % of the users get v2")
    stage.wait("the promotion", lambda: stage.client.model(MODEL)["active_version"] == "v2")
    log = stage.client.events(model_name=MODEL, limit=1_000)["events"]
    report = stage.client.rollout_report(MODEL)
    lift = next(lift for lift in report["lifts"] if lift["metric"] == "hit-rate")
    return {
        "asked": asked_total,
        "errors": errors,
        "went_back": went_back,
        "weights": weights,
        "analyses": _analyses(log),
        "hit_rate_lift": round(lift["difference"], 3),
        "active": stage.client.model(MODEL)["active_version"],
    }


def emergency(stage: Stage) -> dict[str, Any]:
    """Take the version back at once."""
    began_s = time.monotonic()
    stage.client.rollback(MODEL, emergency=True, reason="complaints from the field")
    users = range(50)
    answers = stage.wait("v1 answers", lambda: _only(stage.ask(MODEL, asked(users)), "v1"))
    stage.say("rolled back")
    return {
        "active": stage.client.model(MODEL)["active_version"],
        "answered_by": sorted({version for version in answers.versions if version}),
        "seconds": round(time.monotonic() - began_s, 2),
    }


def offered(stage: Stage, recommender: Recommender) -> str:
    """Publish a version; return its name."""
    example = torch.arange(64).reshape(-1, 1)
    return publish(recommender, MODEL, example=example, url=stage.url, progress=False).model_version


def judged(stage: Stage, recommender: Recommender) -> dict[str, Any]:
    """Publish a version and have it measured; return the verdict."""
    version = offered(stage, recommender)
    stage.command("evaluate", MODEL, version)
    found = stage.client.version(MODEL, version)
    figures = found["validation"]["figures"]
    return {
        "version": version,
        "stage": found["stage"],
        "verdict": found["verdict"],
        **{name: round(figures[name], 3) for name in ("hr_at_10", "ndcg_at_10")},
    }


def asked(users: Any) -> list[dict[str, Any]]:
    """Return requests for users."""
    return [{"user": np.array([[user]], np.int64)} for user in users]


def clicked(stage: Stage, taste: Taste, number: int, users: list[int], answers: Answers) -> None:
    """Tell what each user chose after he had seen his ten."""
    items = [
        {
            "feedback_id": f"click-{number}-{position}",
            "request_partition": place[0],
            "request_offset": place[1],
            "items": [taste.choice(user)],
        }
        for position, (user, place) in enumerate(zip(users, answers.places, strict=True))
        if place is not None
    ]
    stage.client.feedback(MODEL, *items)


def _weight(rollout: dict[str, Any]) -> int:
    index = rollout.get("step_index") or 0
    return WEIGHTS[min(index // 2, len(WEIGHTS) - 1)]


def _analyses(log: list[dict[str, Any]]) -> int:
    """Return how many analyses ended well, as the log says."""
    events = [entry["event"] for entry in log if entry.get("event") is not None]
    return sum(
        event["type"] == "hotswap.rollout.analysis-recorded.v1" and event["data"]["outcome"] == "successful"
        for event in events
    )


def _ten(scores: Any) -> Any:
    return np.argsort(-np.asarray(scores), axis=1)[:, :FIRST]


def _top(outputs: Any) -> int:
    return int(np.argmax(next(iter(outputs.values()))))


def _only(answers: Answers, version: str) -> Answers | None:
    return answers if set(answers.versions) == {version} else None


if __name__ == "__main__":
    sys.exit(main())
