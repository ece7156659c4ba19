"""`python -m examples.scenarios.digits`: see the README beside this file. `--short` is what the tests run."""

import argparse
import itertools
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

from examples.scenarios.running import Stage, finish, running
from hotswap_stream.bootstrap.data import DigitsKind, write_digits

MODEL = "digits"
BAD_KINDS: tuple[DigitsKind, ...] = ("inverted", "shifted", "mislabeled", "noise", "constant")
ANSWERS_MIN = 100
NO_VERSION = "none was made"


def main() -> int:
    """Return 0 when all promises were held."""
    parser = argparse.ArgumentParser(prog="python -m examples.scenarios.digits")
    parser.add_argument("--short", action="store_true", help="one bad kind instead of five")
    kinds = BAD_KINDS[: 1 if parser.parse_args().short else 5]
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hotswap-digits-") as folder:
        dropped = Dropped(Path(folder))
        dropped.put("good", count=400, seed=1)
        (dropped.data / "notes.txt").write_text("no data")
        watching = ("--watch", str(dropped.data), "--model", MODEL, "--trainer", "image-classifier")
        with running(*watching, command="serve") as stage:
            first = trained(stage, "the file that lay there")
            stage.wait("the first version", lambda: stage.client.model(MODEL)["active_version"])
            second = better_by_shadow(stage, dropped)
            bad = {kind: spoiled(stage, dropped, kind) for kind in kinds}
            active = stage.client.model(MODEL)["active_version"]
            aside = stage.wait("the file that is none", lambda: sorted(each.name for each in dropped.bad.iterdir()))
            taken = len(list(dropped.taken.iterdir()))
    promises = {
        "a file that lay there before became what answers": first["version"] == "v1",
        "the second one went into the shadow by itself": second["strategy"] == "shadow",
        "nobody was promoted before the shadow had answered": second["shadow_answers"] >= ANSWERS_MIN,
        "the better one was promoted by itself": second["active"] == second["version"],
        "nothing was lost while versions changed": second["errors"] == 0,
        "the inverted file ends archived": bad["inverted"]["stage"] == "archived",
        "no bad file comes to answer": all(each["stage"] in ("archived", NO_VERSION) for each in bad.values()),
        "what answered before goes on": active == second["version"],
        "each file was taken once": taken == 2 + len(bad),
        "what is no data lies aside, with the reason": aside == ["notes.txt", "notes.txt.reason.txt"],
    }
    figures = {"first": first, "second": second, "bad": bad, "active": active}
    return finish("digits", began_s, figures, promises)


class Dropped:
    """A folder in which files are dropped, and where they lie afterwards."""

    def __init__(self, folder: Path) -> None:
        self.data, self._aside = folder / "data", folder / "made"
        self.taken, self.bad = self.data / "taken", self.data / "bad"
        self.data.mkdir()
        self._aside.mkdir()

    def put(self, kind: DigitsKind, *, count: int, seed: int) -> Path:
        """Make a file of training data and move it in; return where it was made, which keeps a copy."""
        made = self._aside / f"{kind}-{seed}.safetensors"
        write_digits(made, kind, count=count, seed=seed)
        part = self.data / f"{made.name}.part"
        part.write_bytes(made.read_bytes())
        part.rename(self.data / made.name)
        return made


def trained(stage: Stage, what: str, runs: int = 1) -> dict[str, Any]:
    """Wait until there are that many runs and the newest has its verdict, or has failed; return what came of it."""

    def look() -> Any:
        found = stage.get("/api/training-runs")["runs"]
        ended = len(found) == runs and (found[0].get("verdict") or found[0]["status"] == "failed")
        return found[0] if ended else None

    run = stage.wait(f"the run on {what}", look)
    if run["status"] == "failed":
        stage.say(f"{what}: no version, {run['detail']}")
        return {"version": None, "stage": NO_VERSION, "verdict": run["detail"], "accuracy": None}
    version = stage.client.version(MODEL, run["model_version"])
    accuracy = version["validation"]["figures"]["accuracy"]
    stage.say(f"{what}: {version['model_version']}, {version['verdict']}, accuracy {accuracy:.3f}")
    return {
        "version": version["model_version"],
        "stage": version["stage"],
        "verdict": version["verdict"],
        "accuracy": round(accuracy, 4),
    }


def spoiled(stage: Stage, dropped: Dropped, kind: DigitsKind) -> dict[str, Any]:
    """Drop a file of bad data."""
    runs = len(stage.get("/api/training-runs")["runs"])
    dropped.put(kind, count=400, seed=5)
    return trained(stage, f"{kind} digits", runs + 1)


def better_by_shadow(stage: Stage, dropped: Dropped) -> dict[str, Any]:
    """Drop a file with more digits, and let requests come in: its version goes through the shadow into production."""
    began_s = time.monotonic()
    made = dropped.put("good", count=1_200, seed=2)
    second = trained(stage, "more digits", 2)
    version, trained_s = second["version"], time.monotonic()
    rollout = stage.wait("the shadow", lambda: stage.client.rollout(MODEL).get("rollout"))
    traffic = Traffic(stage, made)
    traffic.start()
    stage.say(f"{version} computes beside v1, and is promoted when it has shown enough")
    stage.wait("the promotion", lambda: stage.client.model(MODEL)["active_version"] == version)
    promoted_s = time.monotonic()
    stage.serves(MODEL, version)
    traffic.stop()
    report = stage.client.rollout_report(MODEL)
    answers = next(arm["answers"] for arm in report["arms"] if arm["model_version"] == version)
    return {
        **second,
        "strategy": rollout["strategy"]["kind"],
        "active": stage.client.model(MODEL)["active_version"],
        "shadow_answers": answers,
        "errors": traffic.errors,
        "asked": traffic.asked,
        "seconds_file_to_version": round(trained_s - began_s, 1),
        "seconds_version_to_promotion": round(promoted_s - trained_s, 1),
    }


class Traffic(threading.Thread):
    """Requests, one after the other, until it is stopped."""

    def __init__(self, stage: Stage, file: Path) -> None:
        super().__init__(name="traffic", daemon=True)
        self._stage = stage
        self._images = load_file(file)["images"][:, None]
        self._stopping = threading.Event()
        self.asked = self.errors = 0

    def run(self) -> None:
        """Ask with digits."""
        for start in itertools.cycle(range(0, len(self._images), 16)):
            if self._stopping.is_set():
                return
            images = self._images[start : start + 16]
            answers = self._stage.ask(MODEL, [{"image": image} for image in images])
            self.asked += len(images)
            self.errors += answers.errors

    def stop(self) -> None:
        """Ask no more."""
        self._stopping.set()
        self.join()


if __name__ == "__main__":
    sys.exit(main())
