"""`python -m tests.soak [--minutes N]`: a long run under load; writes build/soak.json and build/soak.svg."""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
from pathlib import Path

import msgspec

from hotswap_stream.broker import BrokerError, EmbeddedKafka
from hotswap_stream.broker.guard import ProcessGuard
from hotswap_stream.observability.logging import configure_logging
from hotswap_stream.settings import Settings
from tests.soak.plan import SoakPlan
from tests.soak.plot import drawn
from tests.soak.report import SoakReport, summary
from tests.soak.run import Soak
from tests.torture.request_load import LoadFailedError
from tests.torture.run import NothingAnsweredError

BUILD = Path("build")
FAILED = 1
INTERRUPTED = 130


IDS_REMEMBERED = 500
"""Ids of each partition. The default takes a quarter of an hour to fill, and what fills looks like a leak; these are
full before growth is judged."""


async def run(seed: int, plan: SoakPlan, home: Path) -> SoakReport:
    """A broker, the run, and nothing left behind."""
    async with EmbeddedKafka() as kafka:
        settings = Settings(
            kafka_bootstrap_servers=kafka.bootstrap_servers,
            topic_prefix="torture",
            home=home,
            request_partitions=plan.partitions,
            graphs_exported=False,
            request_id_window=IDS_REMEMBERED,
        )
        return await Soak(settings, plan, seed, kafka.data_dirs, _say).run()


def main() -> int:
    """0: passed, 1: not."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=SoakPlan().seconds / 60)
    parser.add_argument("--per-second", type=int, default=SoakPlan().requests_per_second)
    parser.add_argument("--seed", type=int, help="default: a new one")
    arguments = parser.parse_args()
    seed = random.SystemRandom().randrange(1_000_000) if arguments.seed is None else arguments.seed
    plan = SoakPlan(seconds=60 * arguments.minutes, requests_per_second=arguments.per_second)
    configure_logging("error", "console")
    _say(f"seed {seed}: {arguments.minutes:g} minutes at {plan.requests_per_second} requests a second")
    home = Path(tempfile.mkdtemp(prefix="hotswap-soak-"))
    guard = ProcessGuard([home])
    _ = guard.group_id  # starts it: the folder goes even when this process is killed
    passed = False
    try:
        report = asyncio.run(run(seed, plan, home))
        passed = report.passed
    except KeyboardInterrupt:
        _say("interrupted")
        return INTERRUPTED
    except (BrokerError, NothingAnsweredError, LoadFailedError) as error:
        _say(f"error: {error}")
        return FAILED
    finally:
        if not passed and (home / "logs").exists():
            shutil.copytree(home / "logs", BUILD / f"soak-{seed}", dirs_exist_ok=True)
            _say(f"the logs are in {BUILD / f'soak-{seed}'}")
        guard.kill_group()
        shutil.rmtree(home, ignore_errors=True)
    BUILD.mkdir(exist_ok=True)
    (BUILD / "soak.json").write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    (BUILD / "soak.svg").write_text(drawn(report))
    sys.stdout.write(summary(report))
    return 0 if report.passed else FAILED


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
