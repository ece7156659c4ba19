"""`python -m tests.torture [--seed N]`: the long run on three brokers of its own; writes build/torture.json."""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

import msgspec
from aiokafka.errors import KafkaError

from hotswap_events.topics import Topics
from hotswap_stream.broker import BrokerError, EmbeddedKafka
from hotswap_stream.broker.guard import ProcessGuard
from hotswap_stream.observability.logging import configure_logging
from hotswap_stream.settings import Settings
from tests.torture import evidence
from tests.torture.check import Verdict
from tests.torture.cluster import Cluster
from tests.torture.plan import Plan, schedule
from tests.torture.request_kinds import MODEL
from tests.torture.request_load import LoadFailedError
from tests.torture.run import NothingAnsweredError, Torture

BUILD = Path("build")
NODES = 3
FAILED = 1
INTERRUPTED = 130


async def run(seed: int, plan: Plan, home: Path, kept: Path) -> Verdict:
    """Brokers, the run, and nothing left behind but, in `kept`, what the brokers have of what is strange."""
    steps = schedule(seed, plan, NODES)
    async with EmbeddedKafka(NODES) as kafka:
        settings = Settings(
            kafka_bootstrap_servers=kafka.bootstrap_servers,
            topic_prefix="torture",
            home=home,
            request_partitions=plan.partitions,
            log_format="json",
        )
        topics = Topics(settings.topic_prefix)
        cluster = Cluster(kafka, topics.registry)
        verdict = await Torture(settings, plan, steps, seed, cluster=cluster, say=_say).run()
        places = [*verdict.repeat_places, *verdict.places]
        if places:
            both = topics.requests(MODEL), topics.responses(MODEL)
            try:
                said = await asyncio.to_thread(evidence.keep, places, kafka.data_dirs, both, kept)
            except (OSError, ValueError, KafkaError) as error:  # the verdict counts, whatever the files hold
                said = [f"what the brokers have cannot be kept: {error!r}"]
            for line in said:
                _say(line)
        return verdict


def main() -> int:
    """0: passed, 1: not."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--seed", type=int, help="repeats the schedule of a run; default: a new one")
    parser.add_argument("--requests", type=int, default=Plan().requests_min, help="at least this number")
    parser.add_argument("--per-second", type=int, default=Plan().requests_per_second)
    parser.add_argument("--keep", action="store_true", help="keep the logs of the workers also of a run that passed")
    arguments = parser.parse_args()
    seed = random.SystemRandom().randrange(1_000_000) if arguments.seed is None else arguments.seed
    plan = Plan(requests_min=arguments.requests, requests_per_second=arguments.per_second)
    configure_logging("error", "console")
    _say(f"seed {seed}: {plan.requests_min} requests, {plan.faults} faults; repeat with make torture SEED={seed}")
    started = time.monotonic()
    home = Path(tempfile.mkdtemp(prefix="hotswap-torture-"))
    guard = ProcessGuard([home])
    _ = guard.group_id  # starts it: the folder goes even when this process is killed
    kept = BUILD / f"torture-{seed}"
    verdict = Verdict()
    try:
        verdict = asyncio.run(run(seed, plan, home, kept))
    except KeyboardInterrupt:
        _say("interrupted")
        return INTERRUPTED
    except (BrokerError, NothingAnsweredError, LoadFailedError) as error:
        _say(f"error: {error}")
        return FAILED
    finally:
        if (arguments.keep or not verdict.passed or verdict.requests_written_twice) and (home / "logs").exists():
            shutil.copytree(home, kept, dirs_exist_ok=True, ignore=shutil.ignore_patterns("artifacts"))
            _say(f"the logs of the workers are in {kept}")
        guard.kill_group()
        shutil.rmtree(home, ignore_errors=True)
    BUILD.mkdir(exist_ok=True)
    encoded = msgspec.json.format(msgspec.json.encode(verdict), indent=2)
    (BUILD / "torture.json").write_bytes(encoded + b"\n")
    sys.stdout.write(_summary(verdict, time.monotonic() - started))
    return 0 if verdict.passed else FAILED


def _summary(verdict: Verdict, seconds: float) -> str:
    lines = [
        f"{'passed' if verdict.passed else 'FAILED'}: seed {verdict.seed}, {seconds:.0f} s in all",
        f"{verdict.requests} requests, {verdict.requests_written_twice} written twice by their producer "
        f"({verdict.repeats_refused} of these refused as duplicate-id), {verdict.answers} answers "
        f"({verdict.error_answers} of them errors), {verdict.void_answers} void ones, {verdict.swaps} swaps",
        f"faults: {', '.join(f'{count} {kind}' for kind, count in verdict.faults.items())}",
        f"longest gap between answers {verdict.longest_gap_ms} ms, in one partition "
        f"{verdict.longest_partition_gap_ms} ms, of that while the next request was in its topic at most "
        f"{verdict.longest_wait_ms} ms; answers took {verdict.answer_ms} ms",
        "longest gaps in a partition, and what they were made of (docs/explanation/torture.md):",
        *(f"  {gap.line()}" for gap in verdict.partition_gaps),
        "longest gaps anywhere:",
        *(f"  {gap.line()}" for gap in verdict.gaps),
        "void answers:",
        *(f"  {burst.line()}" for burst in verdict.voids),
        *(f"{count} times {kind}" for kind, count in verdict.problems.items()),
        *verdict.examples,
    ]
    return "\n".join(lines) + "\n"


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
