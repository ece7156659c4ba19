"""Each scenario, in its short form, as a user runs it: it holds its promises."""

import json
import os
import subprocess
import sys

import pytest

from tests.support.checkout import ROOT

SECONDS_MAX = 600
SCENARIOS = ("storage_hints", "digits", "recommender", "forecaster", "lifecycle")


@pytest.mark.timeout(SECONDS_MAX)
@pytest.mark.parametrize("name", SCENARIOS)
def test_it_holds_its_promises(name: str) -> None:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("HOTSWAP_")}
    done = subprocess.run(
        [sys.executable, "-m", f"examples.scenarios.{name}", "--short"],
        cwd=ROOT,
        env={**inherited, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "events")))},
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
    )
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert [promise for promise, held in found["promises"].items() if not held] == [], (found, done.stderr)
    assert len(found["promises"]) >= 5
    assert done.returncode == 0
