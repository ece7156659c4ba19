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

MODEL = "digits"
BAD_KINDS = ("inverted", "shifted", "mislabeled", "noise", "constant")
ANSWERS_MIN = 100


def main() -> int:
    """Return 0 when all promises were held."""
    parser = argparse.ArgumentParser(prog="python -m examples.scenarios.digits")
    parser.add_argument("--short", action="store_true", help="one bad kind instead of five")
    short = parser.parse_args().short
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hotswap-digits-") as folder, running() as stage:
        files = Path(folder)
        first = arrives(stage, files, "good", count=400, seed=1, epochs=3)
        stage.serves(MODEL, "v1")
        second = better_by_shadow(stage, files)
        bad = {
            kind: arrives(stage, files, kind, count=400, seed=5, epochs=2) for kind in BAD_KINDS[: 1 if short else 5]
        }
        active = stage.client.model(MODEL)["active_version"]
    promises = {
        "the first file became what answers": first["active"] == "v1",
        "the second one went through the shadow by itself": second["active"] == "v2",
        "nobody was promoted before the shadow had answered": second["shadow_answers"] >= ANSWERS_MIN,
        "nothing was lost while versions changed": second["errors"] == 0,
        "the inverted file ends archived": bad["inverted"]["stage"] == "archived",
        "all bad files end archived": all(each["stage"] == "archived" for each in bad.values()),
        "what answered before goes on": active == "v2",
    }
    figures = {"first": first, "second": second, "bad": bad, "active": active}
    return finish("digits", began_s, figures, promises)


def arrives(stage: Stage, files: Path, kind: str, *, count: int, seed: int, epochs: int) -> dict[str, Any]:
    """Make a file of training data, train on it, and say what the verdict was."""
    file = files / f"{kind}-{seed}.safetensors"
    stage.command(
        "generate-data",
        "--output",
        str(file),
        "--kind",
        kind,
        "--count",
        str(count),
        "--seed",
        str(seed),
        as_json=False,
    )
    report = stage.command(
        "train",
        MODEL,
        "--data",
        str(file),
        "--epochs",
        str(epochs),
        "--seed",
        str(seed),
        "--reason",
        f"{file.name} came",
    )
    version = stage.client.version(MODEL, report["model_version"])
    active = stage.client.model(MODEL)["active_version"]
    figures = version["validation"]["figures"]
    stage.say(f"{file.name}: {version['model_version']}, {version['verdict']}, accuracy {figures['accuracy']:.3f}")
    return {
        "version": version["model_version"],
        "stage": version["stage"],
        "verdict": version["verdict"],
        "accuracy": round(figures["accuracy"], 4),
        "active": active,
    }


def better_by_shadow(stage: Stage, files: Path) -> dict[str, Any]:
    """Train on more data, and let the shadow promote it while requests come in."""
    trained = arrives(stage, files, "good", count=1_200, seed=2, epochs=6)
    version = trained["version"]
    stage.client.start_rollout(
        MODEL,
        [version],
        {"kind": "shadow"},
        policy={
            "metrics": [{"metric": "agreement", "threshold": 0.5}],
            "answers_min": ANSWERS_MIN,
            "promote_after_shadow": True,
        },
        reason="a file came",
    )
    traffic = Traffic(stage, files / "good-2.safetensors")
    traffic.start()
    stage.say(f"{version} computes beside v1, and is promoted when it has shown enough")
    stage.wait("the promotion", lambda: stage.client.model(MODEL)["active_version"] == version)
    stage.serves(MODEL, version)
    traffic.stop()
    report = stage.client.rollout_report(MODEL)
    answers = next(arm["answers"] for arm in report["arms"] if arm["model_version"] == version)
    return {**trained, "active": version, "shadow_answers": answers, "errors": traffic.errors, "asked": traffic.asked}


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
