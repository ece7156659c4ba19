"""`python -m tests.torture.check --bootstrap … --prefix …`: judge a run from its topics, from the first record on.

Writes the verdict as JSON to standard output. Exit codes: 0 all is well, 1 something is not, 2 nothing can be said.
"""

import argparse
import sys
import time
from collections import Counter
from pathlib import Path
from zlib import crc32

import msgspec
import numpy as np
import numpy.typing as npt
from confluent_kafka import Message
from msgspec import Struct

from hotswap_events import headers as header_names
from hotswap_events.inference.answers import AnswerTags
from hotswap_events.topics import Topics
from hotswap_stream.application.log.port import LogRecord
from tests.torture.facts import RunFacts
from tests.torture.findings import Findings, Place
from tests.torture.gaps import Gap, longest_gaps, longest_wait_ms
from tests.torture.judge import AnswerRecord, PartitionJudge
from tests.torture.request_kinds import GOOD, HOSTILE, KINDS, MODEL, NotOurRequestError, read
from tests.torture.request_table import RequestTable
from tests.torture.topic_reading import TopicReader, TopicUnreadableError, headers_of
from tests.torture.version_history import VersionHistory
from tests.torture.void_answers import Burst, VoidAnswer, bursts

_NO_LETTER = [KINDS.index(kind) for kind in (*GOOD, HOSTILE)]
"""Kinds of requests of which no copy must be in the dead letters, unless they got an error."""
_REPEATS_SHOWN_MAX = 5
"""Of how many partitions the first request that was written twice is named."""


class Verdict(Struct, kw_only=True):
    """What was found. Times in ms by the brokers' and the producer's clock, which are one on one machine."""

    passed: bool = False
    seed: int | None = None
    requests: int = 0
    """Each counted once."""
    requests_written_twice: int = 0
    """Records of requests that were there before: their producer wrote them again (`request_table`). The workers answer
    each record, so there are as many answers more."""
    repeats_refused: int = 0
    """Those of them that were refused as `duplicate-id`."""
    repeat_places: list[Place] = []
    """The first of them in a few partitions: where it was before, and where it is again."""
    answers: int = 0
    ok_answers: int = 0
    error_answers: int = 0
    void_answers: int = 0
    voids: list[Burst] = []
    """Who wrote the void ones, and when."""
    foreign_answers: int = 0
    """Records of the response topic that no worker wrote."""
    dead_letters: int = 0
    swaps: int = 0
    rollbacks_by_fleet: int = 0
    faults: dict[str, int] = {}
    longest_gap_ms: int = 0
    """Between two valid answers, whatever their partitions."""
    longest_partition_gap_ms: int = 0
    """Between two valid answers in one partition."""
    longest_wait_ms: int = 0
    """The same, without the time in which the next request was not in its topic yet."""
    partition_gaps: list[Gap] = []
    """The longest of them, each of another time, and what they were made of."""
    gaps: list[Gap] = []
    """The longest without an answer in any partition."""
    answer_ms: dict[str, int] = {}
    """From the request's record to its answer's."""
    answer_ms_by_tenth: list[dict[str, int]] = []
    """The same for each tenth of the time in which requests were made, in order."""
    seconds: float = 0.0
    """From the first request to the last answer."""
    checked_seconds: float = 0.0
    problems: dict[str, int] = {}
    examples: list[str] = []
    places: list[Place] = []
    """Requests that the examples are about."""
    run: RunFacts | None = None


def judge_topics(bootstrap_servers: str, prefix: str, run: RunFacts | None = None) -> Verdict:
    """Read and judge everything under the prefix. TopicUnreadableError if that cannot be done."""
    started = time.monotonic()
    topics, findings, tags = Topics(prefix), Findings(), AnswerTags(prefix).of(MODEL)
    verdict = Verdict(run=run, seed=None if run is None else run.seed)
    with TopicReader(bootstrap_servers) as reader:
        history = VersionHistory.of(_registry(reader, topics), MODEL)
        dead = _dead_letters(reader, topics)
        request_topic, response_topic = topics.requests(MODEL), topics.responses(MODEL)
        partitions = range(reader.partition_count(request_topic))
        answered, asked, latencies, sent = [], [], [], []
        voids: list[VoidAnswer] = []
        for partition in partitions:
            requests = _requests(reader, request_topic, partition, findings)
            judge = PartitionJudge(requests, history, findings, tags)
            for message in reader.records(response_topic, partition, reader.end_offset(response_topic, partition)):
                judge.take(_answer(message))
            judge.finish()
            _check_dead_letters(requests, judge.other_errors, dead, findings)
            sent.append(requests.different)
            voids += judge.voids.taken
            verdict.requests_written_twice += len(requests.repeats)
            verdict.repeats_refused += judge.repeats_refused
            for offset in requests.repeats[:1]:
                verdict.repeat_places += [Place(partition, requests.first_offset(offset)), Place(partition, offset)]
            verdict.answers += judge.valid_count
            verdict.void_answers += judge.void_count
            verdict.foreign_answers += judge.foreign_count
            verdict.ok_answers += judge.ok_count
            there = judge.timestamps_ms[judge.timestamps_ms > 0]
            verdict.longest_partition_gap_ms = max(verdict.longest_partition_gap_ms, _longest_gap(there))
            answered.append(there)
            asked.append(requests.timestamps_ms[judge.timestamps_ms > 0])
            verdict.longest_wait_ms = max(verdict.longest_wait_ms, longest_wait_ms(there, asked[-1]))
            latencies.append(there - asked[-1])
            if requests.count and len(there):
                took_ms = int(there.max() - requests.timestamps_ms[0])
                verdict.seconds = max(verdict.seconds, round(took_ms / 1_000, 1))
    verdict.requests = sum(sent)
    verdict.repeat_places = verdict.repeat_places[: 2 * _REPEATS_SHOWN_MAX]
    verdict.voids = bursts(voids, 0 if run is None else run.began_ms)
    verdict.error_answers = verdict.answers - verdict.ok_answers
    verdict.dead_letters = len(dead)
    verdict.swaps, verdict.rollbacks_by_fleet = history.swaps, history.rollbacks_by_fleet
    verdict.longest_gap_ms = _longest_gap(np.sort(np.concatenate(answered)))
    verdict.answer_ms = _percentiles(np.concatenate(latencies))
    verdict.answer_ms_by_tenth = by_tenth(np.concatenate(asked), np.concatenate(latencies))
    if run is not None:
        verdict.partition_gaps, verdict.gaps = longest_gaps(run, answered, asked)
        _compare(run, sent, findings)
        verdict.faults = dict(sorted(Counter(fault.kind for fault in run.faults).items()))
    verdict.problems, verdict.examples, verdict.places = findings.counts, findings.examples, findings.places
    verdict.passed = not findings.counts
    verdict.checked_seconds = round(time.monotonic() - started, 1)
    return verdict


def _registry(reader: TopicReader, topics: Topics) -> list[LogRecord]:
    end = reader.end_offset(topics.registry, 0)
    return [
        LogRecord(message.offset() or 0, message.timestamp()[1], message.key(), message.value())
        for message in reader.records(topics.registry, 0, end)
    ]


def _requests(reader: TopicReader, topic: str, partition: int, findings: Findings) -> RequestTable:
    table = RequestTable(partition, reader.end_offset(topic, partition), findings)
    for message in reader.records(topic, partition, table.count):
        offset, headers = message.offset() or 0, headers_of(message)
        try:
            asked = read(message.value(), headers, partition)
        except NotOurRequestError as error:
            raise TopicUnreadableError(f"{topic} {partition}/{offset}: {error}") from error
        table.put(offset, message.timestamp()[1], asked, crc32(repr((message.value(), headers)).encode()))
    table.finish()
    return table


def _dead_letters(reader: TopicReader, topics: Topics) -> set[tuple[int, int]]:
    """Partition and offset of the requests that have a copy there."""
    found = set()
    origin = topics.requests(MODEL).encode()
    for partition in range(reader.partition_count(topics.dead_letters)):
        end = reader.end_offset(topics.dead_letters, partition)
        for message in reader.records(topics.dead_letters, partition, end):
            headers = dict(headers_of(message))
            if headers.get(header_names.ORIGIN_TOPIC) == origin:
                where = (headers[header_names.ORIGIN_PARTITION], headers[header_names.ORIGIN_OFFSET])
                found.add((int(where[0] or b""), int(where[1] or b"")))
    return found


def _check_dead_letters(
    requests: RequestTable, other_errors: set[int], dead: set[tuple[int, int]], findings: Findings
) -> None:
    bad: list[int] = np.flatnonzero(~np.isin(requests.kinds, _NO_LETTER)).tolist()
    partition = requests.partition
    for offset in [*bad, *sorted(other_errors)]:
        if (partition, offset) not in dead:
            text = f"request {partition}/{offset} of kind {requests.kind(offset)!r}"
            findings.add("no-dead-letter", text, Place(partition, offset))


def _compare(run: RunFacts, sent: list[int], findings: Findings) -> None:
    if run.sent != sent:
        findings.add("sent-and-found-differ", f"sent by partition {run.sent}, found {sent}")
    if sum(sent) < run.requests_min:
        findings.add("too-few-requests", f"{sum(sent)} of {run.requests_min}")
    if len(run.faults) < run.faults_min:
        findings.add("too-few-faults", f"{len(run.faults)} of {run.faults_min}")
    for trouble in run.troubles:
        findings.add("run-troubled", trouble)


def _answer(message: Message) -> AnswerRecord:
    return AnswerRecord(message.offset() or 0, message.timestamp()[1], message.value(), headers_of(message))


def _longest_gap(timestamps_ms: npt.NDArray[np.int64]) -> int:
    return int(np.diff(timestamps_ms).max()) if len(timestamps_ms) > 1 else 0


def by_tenth(
    asked_ms: npt.NDArray[np.int64], latencies_ms: npt.NDArray[np.int64], parts: int = 10
) -> list[dict[str, int]]:
    """Return the percentiles of each tenth of the time from the first request to the last; none of one without any."""
    if not len(asked_ms):
        return []
    edges = np.linspace(asked_ms.min(), asked_ms.max() + 1, parts + 1)
    part_of = np.clip(np.searchsorted(edges, asked_ms, side="right") - 1, 0, parts - 1)
    return [_percentiles(latencies_ms[part_of == part]) for part in range(parts)]


def _percentiles(latencies_ms: npt.NDArray[np.int64]) -> dict[str, int]:
    if not len(latencies_ms):
        return {}
    shares = {"p50": 50, "p90": 90, "p99": 99, "max": 100}
    return {name: int(np.percentile(latencies_ms, share)) for name, share in shares.items()}


def main() -> int:
    """Command line in, exit code out."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture.check", description="Judge a run from its topics.")
    parser.add_argument("--bootstrap", required=True, help="host:port of the brokers, separated by commas")
    parser.add_argument("--prefix", required=True, help="prefix of the topics")
    parser.add_argument(
        "--run", type=Path, help="what the run wrote down: what was sent is compared with what is there"
    )
    arguments = parser.parse_args()
    try:
        run = None if arguments.run is None else msgspec.json.decode(arguments.run.read_bytes(), type=RunFacts)
        verdict = judge_topics(arguments.bootstrap, arguments.prefix, run)
    except (TopicUnreadableError, OSError, msgspec.DecodeError) as error:
        sys.stderr.write(f"error: nothing can be said: {error}\n")
        return 2
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(verdict), indent=2).decode() + "\n")
    return 0 if verdict.passed else 1


if __name__ == "__main__":
    sys.exit(main())
