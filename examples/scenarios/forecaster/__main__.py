"""`python -m examples.scenarios.forecaster`: see the README beside this file. `--short` is what the tests run."""

import argparse
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from examples.scenarios.forecaster.servers import (
    AHEAD,
    DAY,
    HISTORY,
    METRICS,
    SERVERS,
    filled,
    forecast,
    measurements,
    naive_error,
    windows,
)
from examples.scenarios.running import Stage, finish, running
from hotswap_stream.client import RefusedError

MODEL = "load"
TRAIN_DAYS, ALL_DAYS = 4, 9
PAUSE_S = 0.2
"""Between two measurements of a server; five minutes there."""
HELD_OUT = "the fifth day"
FLIP = 0x01
LOADED_WHEN_ASKED = {"HOTSWAP_WORKER_MEMORY_BYTES_MAX": "1"}
"""Workers hold the newest versions before anybody asks for them; here none, so that each reload has to load."""


def main() -> int:
    """Return 0 when all promises were held."""
    parser = argparse.ArgumentParser(prog="python -m examples.scenarios.forecaster")
    parser.add_argument("--short", action="store_true", help="fewer epochs")
    epochs = 1 if parser.parse_args().short else 4
    began_s = time.monotonic()
    series = measurements(ALL_DAYS)
    with (
        tempfile.TemporaryDirectory(prefix="hotswap-load-") as folder,
        running(keyed=True, settings=LOADED_WHEN_ASKED) as stage,
    ):
        first = trained_first(stage, Path(folder), series, epochs)
        senders = Senders(stage, filled(series)[:, (TRAIN_DAYS + 1) * DAY :])
        senders.warm_up()
        senders.start()
        reloaded = reloaded_while_it_answers(stage, senders, Path(folder), series, epochs)
        by_name = back_and_forth(stage, senders)
        damaged = damaged_rolls_back(stage, senders)
        senders.stop()
        windows_right = as_computed(stage, senders)
    promises = {
        "the first model beats the last value": first["mae"] < first["mae_of_the_last_value"],
        "without a key nothing is reloaded": reloaded["without_key"] == 401,
        "answers went on while it was trained and loaded": reloaded["answers_meanwhile"] > 0,
        "the retrained model answers": reloaded["active"] == "v2",
        "reloading the same does nothing": reloaded["again"] == "unchanged",
        "a named model is loaded, and the other one again": by_name == ["v1", "v2"],
        "no file that is damaged becomes a version": damaged["upload_refused"],
        "a damaged model rolls back by itself": damaged["active"] == "v2" and damaged["cause"] == "load-failed",
        "no prediction was refused": senders.errors == 0,
        "no window was lost, by any reload": senders.cold == 0,
        "forecasts are those of the last 288 steps": windows_right,
    }
    figures = {
        "first": first,
        "reload": reloaded,
        "damaged": damaged,
        "answers": senders.answers,
        "by_version": dict(sorted(senders.by_version.items())),
        "slowest_round_seconds": round(senders.slowest_s, 3),
    }
    return finish("forecaster", began_s, figures, promises)


def trained_first(stage: Stage, folder: Path, series: Any, epochs: int) -> dict[str, Any]:
    """Say what forecasts are measured on and by which gates, and have the first model trained."""
    held_out, _left_out = windows(series[:, TRAIN_DAYS * DAY - HISTORY : (TRAIN_DAYS + 1) * DAY], stride=48)
    given(stage, folder, "monday", series[:, : (TRAIN_DAYS - 1) * DAY])
    file = folder / "held-out.npz"
    np.savez(file, **held_out)
    stage.command("validation-set", "choose", MODEL, str(file), "--kind", "forecasting", "--reason", HELD_OUT)
    naive = naive_error(held_out)
    gate = {"figure": "mae", "better": "lower", "threshold": naive, "relative_margin": 0.05}
    stage.put(f"{MODEL}/validation-policy", {"policy": {"gates": [gate]}})
    retrained(stage, "monday", epochs, seed=1)
    stage.serves(MODEL, "v1")
    version = stage.client.version(MODEL, "v1")
    stage.say(f"v1 forecasts {AHEAD} steps of {len(METRICS)} metrics of {SERVERS} servers")
    return {
        "version": "v1",
        "mae": round(version["validation"]["figures"]["mae"], 3),
        "mae_of_the_last_value": round(naive, 3),
    }


def given(stage: Stage, folder: Path, name: str, series: Any) -> int:
    """Keep what was measured as a dataset; return how many windows were left out for their gaps."""
    data, left_out = windows(series, stride=24)
    file = folder / f"{name}.npz"
    np.savez(file, **data)
    stage.command("dataset", "add", MODEL, str(file), "--name", name)
    stage.say(f"{name}: {len(data['history'])} windows, {left_out} left out for their gaps")
    return left_out


def retrained(stage: Stage, dataset: str, epochs: int, seed: int) -> None:
    """Run the script that cron would run: it has the model trained, and reloads it."""
    stage.say(
        stage.program(
            "examples/retrain_and_reload.py",
            MODEL,
            "forecaster",
            "--dataset",
            dataset,
            f"epochs={epochs}",
            f"seed={seed}",
        ).strip()
    )


def reloaded_while_it_answers(
    stage: Stage, senders: "Senders", folder: Path, series: Any, epochs: int
) -> dict[str, Any]:
    """Train on more days and reload, by the script; measurements come in and forecasts go out meanwhile."""
    left_out = given(stage, folder, "tuesday", series[:, : TRAIN_DAYS * DAY])
    without_key = stage.without_key().post(f"/api/models/{MODEL}/reload", json={}).status_code
    before = senders.answers
    retrained(stage, "tuesday", epochs, seed=2)
    meanwhile = senders.answers - before
    senders.answered_by("v2")
    return {
        "without_key": without_key,
        "windows_left_out": left_out,
        "answers_meanwhile": meanwhile,
        "mae": round(stage.client.version(MODEL, "v2")["validation"]["figures"]["mae"], 3),
        "active": stage.client.model(MODEL)["active_version"],
        "again": stage.client.reload(MODEL)["status"],
    }


def back_and_forth(stage: Stage, senders: "Senders") -> list[str]:
    """Reload a model by its name, and the newer one again."""
    answered = []
    for version in ("v1", "v2"):
        stage.client.reload(MODEL, version, reason="by name")
        senders.answered_by(version)
        answered.append(version)
    return answered


def damaged_rolls_back(stage: Stage, senders: "Senders") -> dict[str, Any]:
    """Offer a file that is cut off; then damage one on the disk after it became a version, and reload it."""
    digest = stage.client.version(MODEL, "v2")["artifact"]["digest"]
    content = stage.artifact(digest).read_bytes()
    try:
        stage.client.upload(content[: len(content) // 2])
        refused = False
    except RefusedError as error:
        refused = error.status == 422
    changed = bytearray(content)
    changed[-3] ^= FLIP  # another weight: another model
    digest = stage.client.upload(bytes(changed))["artifact_digest"]
    version = stage.client.register(MODEL, digest, reason="as good as v2")["model_version"]
    figures = stage.client.version(MODEL, "v2")["validation"]["figures"]
    stage.client.validate(MODEL, version, figures, HELD_OUT, baseline_version="v2", baseline_figures=figures)
    stage.damage(digest)
    stage.client.reload(MODEL, version, reason="nobody knows of the disk")
    stage.wait("the rollback", lambda: stage.client.version(MODEL, version)["stage"] == "archived")
    senders.answered_by("v2")
    log = stage.client.events(model_name=MODEL, limit=1_000, event_type="hotswap.model.rolled-back.v1")["events"]
    stage.say(f"{version} cannot be loaded: v2 goes on")
    return {
        "version": version,
        "upload_refused": refused,
        "active": stage.client.model(MODEL)["active_version"],
        "cause": log[-1]["event"]["data"]["cause"],
    }


def as_computed(stage: Stage, senders: "Senders") -> bool:
    """Return whether the last forecasts are what the weights make of the last 288 steps that were sent."""
    path = stage.artifact(stage.client.version(MODEL, "v2")["artifact"]["digest"])
    return all(
        np.allclose(senders.last[server], forecast(path, senders.sent(server)), rtol=1e-3, atol=1e-2)
        for server in range(SERVERS)
    )


class Senders(threading.Thread):
    """All servers, each of which sends its newest measurement, waits for the forecast, and sends the next one."""

    def __init__(self, stage: Stage, series: Any) -> None:
        super().__init__(name="senders", daemon=True)
        self._stage, self._series = stage, series
        self._stopping = threading.Event()
        self._step = HISTORY - 1
        self.answers = self.errors = self.cold = 0
        self.by_version: dict[str, int] = {}
        self.last: list[Any] = [None] * SERVERS
        self.slowest_s = 0.0

    def warm_up(self) -> None:
        """Send what there is: one step less than a forecast needs."""
        answers = self._ask(0, self._step)
        if answers.errors or any(answers.outputs):
            raise RuntimeError(f"{answers.errors} errors while windows were warmed up, or some were warm too early")

    def run(self) -> None:
        """Send until it is stopped, or nothing is left."""
        while not self._stopping.wait(PAUSE_S) and self._step < self._series.shape[1]:
            began_s = time.monotonic()
            answers = self._ask(self._step, self._step + 1)
            self._step += 1
            self.errors += answers.errors
            for server, (outputs, version) in enumerate(zip(answers.outputs, answers.versions, strict=True)):
                if version is None:
                    continue
                self.cold += not outputs
                if outputs:
                    self.last[server] = np.asarray(outputs["forecast"]).reshape(AHEAD, len(METRICS))
                self.by_version[version] = self.by_version.get(version, 0) + 1
            self.answers += SERVERS
            self.slowest_s = max(self.slowest_s, time.monotonic() - began_s)

    def answered_by(self, version: str) -> None:
        """Wait until a version answers more often than it has."""
        before = self.by_version.get(version, 0)
        self._stage.wait(f"{version} answers", lambda: self.by_version.get(version, 0) > before)

    def sent(self, server: int) -> Any:
        """Return the last 288 steps that a server has sent."""
        return self._series[server, self._step - HISTORY : self._step]

    def stop(self) -> None:
        """Send no more."""
        self._stopping.set()
        self.join()

    def _ask(self, start: int, end: int) -> Any:
        keys = [f"server-{server}" for server in range(SERVERS)]
        return self._stage.ask(MODEL, [{"history": self._series[server, start:end]} for server in range(SERVERS)], keys)


if __name__ == "__main__":
    sys.exit(main())
