"""`python -m tests.hostile [--seed N]`: the whole matrix on a broker of its own; writes build/hostile.json."""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from hotswap_stream.broker import BrokerError, EmbeddedKafka
from hotswap_stream.broker.guard import ProcessGuard
from hotswap_stream.observability.logging import configure_logging
from hotswap_stream.settings import Settings
from tests.hostile.cells import chosen, matrix
from tests.hostile.file_cells import artifact_cells, settings_cells
from tests.hostile.http_cells import http_matrix
from tests.hostile.report import AnyCell, Report, report_of, table, write_docs, write_json
from tests.hostile.run import C, Run

FAILED = 1
INTERRUPTED = 130


async def run(arguments: argparse.Namespace, seed: int, home: Path) -> Report:
    """A broker, the run, and nothing left behind."""
    began_s = time.monotonic()
    pick = partial(_picked, arguments.only)
    cells = pick(matrix() if arguments.few is None else chosen(seed, per_place=arguments.few))
    http, artifacts, values = pick(http_matrix()), pick(artifact_cells()), pick(settings_cells())
    every: list[AnyCell] = [*cells, *http, *artifacts, *values]
    _say(f"seed {seed}: {len(every)} cells; repeat with make hostile SEED={seed}")
    async with EmbeddedKafka() as kafka:
        settings = Settings(kafka_bootstrap_servers=kafka.bootstrap_servers, home=home)
        trying = Run(settings, say=_say, seconds_max=arguments.seconds, search_seconds_max=arguments.search_seconds)
        await trying.run(cells, seed, http=http, artifacts=artifacts, settings=values)
    return report_of(seed, every, trying, time.monotonic() - began_s)


def _picked(part: str | None, cells: Sequence[C]) -> list[C]:
    return [cell for cell in cells if part is None or part in str(cell)]


def main() -> int:
    """0: the law holds, 1: it does not."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--seed", type=int, help="repeats the order of a run; default: a new one")
    parser.add_argument("--only", help="cells whose name has this in it, such as 'commands:' or 'not UTF-8'")
    parser.add_argument("--few", type=int, help="only that many cells of each topic, by the seed")
    parser.add_argument("--seconds", type=float, default=30.0, help="within which a good record must be handled")
    parser.add_argument("--search-seconds", type=float, default=1_200.0, help="to look for single cells at most")
    parser.add_argument("--docs", action="store_true", help="write the table into docs/explanation/hostile.md")
    arguments = parser.parse_args()
    seed = random.SystemRandom().randrange(1_000_000) if arguments.seed is None else arguments.seed
    configure_logging("error", "console")
    home = Path(tempfile.mkdtemp(prefix="hotswap-hostile-"))
    guard = ProcessGuard([home])
    _ = guard.group_id  # starts it: the folder goes even when this process is killed
    report = None
    try:
        report = asyncio.run(run(arguments, seed, home))
    except KeyboardInterrupt:
        _say("interrupted")
        return INTERRUPTED
    except BrokerError as error:
        _say(f"error: {error}")
        return FAILED
    finally:
        if report is None or not report.held:
            kept = Path("build") / f"hostile-{seed}"
            shutil.copytree(home, kept, dirs_exist_ok=True, ignore=shutil.ignore_patterns("artifacts"))
            _say(f"the logs of the processes are in {kept}")
        guard.kill_group()
        shutil.rmtree(home, ignore_errors=True)
    write_json(report)
    if arguments.docs:
        write_docs(report)
    sys.stdout.write(table(report))
    return 0 if report.held else FAILED


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
