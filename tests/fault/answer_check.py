"""Judges afterwards, from the topics alone: every request one valid answer, in order, by a version that was active."""

from collections.abc import Iterable
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from msgspec import Struct

from hotswap_events.inference import InferError, InferResponse
from hotswap_stream.application.registry_fold import RegistryFold
from hotswap_stream.application.registry_log import LogRecord
from hotswap_stream.workers.inference.checkpoint import request_offset_of

_answer = msgspec.json.Decoder(InferResponse)
_error = msgspec.json.Decoder(InferError)


class Verdict(Struct):
    """What was found. `problems` is empty when all is well."""

    requests: int = 0
    valid: int = 0
    void: int = 0
    problems: list[str] = []


def judge(
    requests: dict[int, int], answers: dict[int, list["ConsumerRecord[Any, Any]"]], chosen: dict[int, str]
) -> Verdict:
    """`requests`: partition → number of requests, whose offsets count from 0. `answers`: partition → all its records.
    `chosen`: registry offset → the version that became active there."""
    verdict = Verdict(requests=sum(requests.values()))
    for partition, count in requests.items():
        highest = -1
        for record in answers.get(partition, []):
            offset = request_offset_of(record)
            if offset is None:
                verdict.problems.append(f"answer {partition}/{record.offset} names no request")
                continue
            if offset <= highest:
                verdict.void += 1
                continue
            if offset != highest + 1:
                verdict.problems.append(f"partition {partition}: requests {highest + 1}…{offset - 1} were passed over")
            highest = offset
            verdict.valid += 1
            _check_version(verdict, record, partition, offset, chosen)
        if highest != count - 1:
            verdict.problems.append(f"partition {partition}: requests {highest + 1}…{count - 1} have no answer")
    return verdict


def _check_version(
    verdict: Verdict, record: "ConsumerRecord[Any, Any]", partition: int, offset: int, chosen: dict[int, str]
) -> None:
    if b'"error":' in record.value:
        verdict.problems.append(f"request {partition}/{offset}: {_error.decode(record.value).error}")
        return
    answer = _answer.decode(record.value)
    by = answer.parameters.registry_offset
    if by is None or chosen.get(by) != answer.model_version:
        verdict.problems.append(
            f"request {partition}/{offset}: answered by {answer.model_version} as chosen at registry offset {by}, "
            f"where {chosen.get(by or -1)} became active"
        )
    if answer.outputs[0].data != [float(answer.model_version[1:])] * 2:
        verdict.problems.append(f"request {partition}/{offset}: {answer.outputs[0].data!r} by {answer.model_version}")


def versions_chosen(records: Iterable[LogRecord], model_name: str) -> dict[int, str]:
    """Registry offset → version that became active there."""
    fold, chosen = RegistryFold(), dict[int, str]()
    for record in records:
        before = fold.state(model_name).active_version
        fold.apply(record)
        after = fold.state(model_name).active_version
        if after is not None and after != before:
            chosen[record.offset] = after
    return chosen


async def read_all(servers: str, topic: str, partitions: int) -> dict[int, list["ConsumerRecord[Any, Any]"]]:
    """Every record of a topic, by partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, group_id=None, auto_offset_reset="earliest")
    await consumer.start()
    try:
        wanted = [TopicPartition(topic, number) for number in range(partitions)]
        consumer.assign(wanted)
        ends = await consumer.end_offsets(wanted)
        found: dict[int, list[ConsumerRecord[Any, Any]]] = {number: [] for number in range(partitions)}
        for partition in wanted:
            consumer.seek(partition, 0)
        while any([await consumer.position(partition) < ends[partition] for partition in wanted]):
            for partition, records in (await consumer.getmany(timeout_ms=200)).items():
                found[partition.partition].extend(records)
        return found
    finally:
        await consumer.stop()
