"""Commands of the product as processes of their own."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.support.checkout import ROOT


def hotswap(*arguments: str) -> list[str]:
    """The command line of this checkout, by this interpreter."""
    return [sys.executable, "-W", "error", "-c", "from hotswap_stream.cli import main; main()", *arguments]


def environment_with(variables: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with these settings and no others, and this checkout to import from."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HOTSWAP_")}
    # Exporting takes seconds of each registration; the tests that are about it ask for it.
    inherited["HOTSWAP_GRAPHS_EXPORTED"] = "false"
    return {**inherited, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "events"))), **variables}


@contextmanager
def running(environment: dict[str, str], *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """A command until the block ends; killed if it has not ended then."""
    process = subprocess.Popen(
        hotswap(*arguments), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
