"""What answers to a broker that takes half a second for each cost a worker's processor, next to the bare client.

    python -m benchmarks.slow_broker [SECONDS]

Some answers a second in one partition, by the sender of the hot loop and by the same idempotent producer without it, on
librdkafka's own broker in this process. Processor time of the whole process, in turns.
"""

import json
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from statistics import median

from confluent_kafka import Producer

from hotswap_events.inference.answers import AnswerTags
from hotswap_stream.workers.inference.answers.dead_letters import DeadLetterSender
from hotswap_stream.workers.inference.answers.sender import AnswerSender
from hotswap_stream.workers.inference.answers.writer import Answer, AnswerWriter
from hotswap_stream.workers.inference.kafka_clients import WAYS_MS, answer_producer
from hotswap_stream.workers.inference.limits import LoopLimits
from hotswap_stream.workers.inference.requests.records import RequestRecord
from hotswap_stream.workers.inference.spread_producer import SpreadProducer
from tests.support.kafka.mock_broker import mock_broker

SECONDS = 3.0
TURNS = 3
TAKES_MS = 500
PAUSE_SECONDS = 0.05
AT_ONCE = 10
ANSWERS = "answers"
VALUE = bytes(400)
TIMES_AIM = 0.2


def _share(begin: Callable[[], None], send: Callable[[int], None], turn: Callable[[], object], seconds: float) -> float:
    """Return the share of a processor that the process takes while it sends now and then."""
    begin()
    time.sleep(2 * TAKES_MS / 1000)
    worked_s, since_s, number = time.process_time(), time.monotonic(), 0
    while (passed_s := time.monotonic() - since_s) < seconds:
        send(number)
        number += 1
        turn()
        time.sleep(PAUSE_SECONDS)
    return (time.process_time() - worked_s) / passed_s


def _ours(address: str, seconds: float) -> float:
    options, stopping, limits = {"bootstrap.servers": address, "log_level": 0}, threading.Event(), LoopLimits()
    make = partial(answer_producer, options, worker="w", limits=limits, on_error=lambda _error: None)
    ways = [SpreadProducer(partial(make, linger_ms=linger_ms)) for linger_ms in WAYS_MS]
    sender = AnswerSender(
        ways,
        AnswerWriter("m", "w", AnswerTags("bench").of("m")),
        response_topic=ANSWERS,
        letters=DeadLetterSender(options, worker="w", topic="letters", stopping=stopping),
        limits=limits,
        stopping=stopping,
        on_answered=lambda _partition, _next_offset: None,
        send_reply=lambda _answer: None,
    )

    def send(number: int) -> None:
        offsets = range(AT_ONCE * number, AT_ONCE * (number + 1))
        sender.send([Answer(RequestRecord("requests", 0, offset, 0, None, b"{}", []), VALUE, []) for offset in offsets])

    try:
        return _share(lambda: sender.expect([0], None), send, lambda: sender.poll(0), seconds)
    finally:
        sender.close()


def _bare(address: str, seconds: float) -> float:
    producer = Producer(
        {"bootstrap.servers": address, "acks": "all", "enable.idempotence": True, "linger.ms": 0, "log_level": 0}
    )

    def send(_number: int) -> None:
        for _ in range(AT_ONCE):
            producer.produce(ANSWERS, VALUE, partition=0)

    try:
        return _share(
            lambda: producer.produce(ANSWERS, VALUE, partition=0),
            send,
            lambda: producer.poll(0),
            seconds,
        )
    finally:
        producer.purge()
        producer.flush(0)


def run(seconds: float = SECONDS) -> list[dict[str, object]]:
    """Return medians of the turns, per cent of one processor."""
    with mock_broker(ANSWERS, "letters", answers_after_ms=TAKES_MS) as address:
        turns = [(_ours(address, seconds), _bare(address, seconds)) for _ in range(TURNS)]
    ratio = median(ours / bare for ours, bare in turns)
    return [
        {
            "name": "slow_broker",
            "ours": round(100 * median(ours for ours, _bare in turns), 1),
            "compared_with": "the same idempotent producer, given each answer at once",
            "comparison": round(100 * median(bare for _ours, bare in turns), 1),
            "unit": "% of a processor",
            "ratio": round(ratio, 3),
            "aim": f"<= {TIMES_AIM}",
            "holds": ratio <= TIMES_AIM,
            "answers_per_s": round(AT_ONCE / PAUSE_SECONDS),
            "broker_takes_ms": TAKES_MS,
        }
    ]


if __name__ == "__main__":
    print(json.dumps(run(*(float(argument) for argument in sys.argv[1:2])), indent=2))
