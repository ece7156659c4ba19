"""What `make test-costs` counts: a process of a test while it runs, and when it has ended."""

import subprocess
import sys

import pytest

from tests.support.costs import tree_seconds

SECONDS = 0.2
BUSY = f"""
import time
while time.process_time() < {SECONDS}: pass
print(flush=True)
input()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_process_is_counted_while_it_runs_and_after_it_has_ended() -> None:
    before = tree_seconds()
    with subprocess.Popen([sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        # The kernel counts in hundredths.
        assert tree_seconds() - before > SECONDS / 2
        process.communicate(b"\n")
    assert tree_seconds() - before > SECONDS / 2
