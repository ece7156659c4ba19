"""`python -m tests.torture.produce …`: send requests at a steady pace until SIGTERM, then say how many.

The first request of each partition goes at once; the others begin with SIGUSR1, when those were answered. With SIGUSR2
the topic has more partitions. Each line of
standard output is a JSON `Sent`; the last one has `done`. Exit code 1: a request was refused for good.
"""

import argparse
import logging
import math
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from logging.handlers import RotatingFileHandler
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from msgspec import Struct

from tests.torture.request_kinds import Headers, build, choose_kind
from tests.torture.topic_reading import LOG_LEVEL

TICK_S = 0.01
REPORT_S = 0.5
FLUSH_S_MAX = 120.0
QUEUED_MAX = 200_000
LOG_BYTES_MAX = 4 * 1024 * 1024
"""Of the client's log; with as much a second one is begun, and no third."""
PARTITIONS_EACH = 8
"""That share a producer, as requests of one client: librdkafka writes to one partition of a broker at a time, so that a
single producer would come to each of 64 only every half a second, and while a broker is slow every ten."""
LINGER_MS = 200
"""Several requests of a partition go together, as they did when each partition waited for its turn: one by one they
would take the brokers half of this machine."""
SLOW_S = 0.5
"""Where the brokers take so long for a request, the next of its partition wait until it is confirmed: an idempotent
producer of librdkafka that has more than five ready keeps a whole processor busy with asking whether they may go."""
RECONNECT_MS_MAX = 1_000
"""As the product's own clients have it: the default of ten seconds would show as a gap that is not the workers'."""


_Told = Callable[[int, KafkaError | None, Message], None]
_Request = tuple[bytes | None, Headers, _Told]


class Sent(Struct):
    """Requests by partition, and how many of all the brokers have confirmed."""

    sent: list[int]
    confirmed: int = 0
    done: bool = False
    failure: str | None = None


class Load:
    """Producers as users have them, idempotent: they lose and reorder nothing, whatever happens to a broker.

    But where brokers are slow they are given no more of a partition than is under way (`SLOW_S`).

    They may write some requests twice when a broker goes: an error in one partition makes librdkafka number the batches
    of all anew, and those of others that the broker had taken without a word are no repetition to it then
    (https://github.com/confluentinc/librdkafka/issues/4953). `log_path`: where it says so.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        topic: str,
        partitions: int,
        seed: int,
        log_path: Path | None = None,
        *,
        linger_ms: int = LINGER_MS,
    ) -> None:
        self.account = Sent([0] * partitions)
        self._topic = topic
        self._turns: list[float] = [0.0] * partitions
        """Requests by partition since the topic grew last; infinite while the first of a partition is under way.

        A broker holds a producer to its order only from the first record on that it took. Were that one refused for a
        moment, as where a partition is very new, it would take the next, and the first would never be there.
        """
        self._waiting: list[deque[_Request]] = [deque() for _ in range(partitions)]
        """Not handed to the client yet, by partition."""
        self._under_way = [0] * partitions
        """Handed to the client and not confirmed, by partition."""
        self._since_s, self._slow = [0.0] * partitions, [False] * partitions
        """Since when none of those was confirmed, and whether the one before took long."""
        self._random = Random(f"{seed}/requests")
        self._options: dict[str, Any] = {
            "bootstrap.servers": bootstrap_servers,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": linger_ms,
            "message.timeout.ms": 0,
            "reconnect.backoff.max.ms": RECONNECT_MS_MAX,
            "queue.buffering.max.messages": QUEUED_MAX,
            "error_cb": self._failed,
            **({"log_level": LOG_LEVEL} if log_path is None else {"debug": "eos", "logger": _file_logger(log_path)}),
        }
        self._producers: list[Producer] = []
        self._make(partitions)

    def _make(self, partitions: int) -> None:
        while len(self._producers) * PARTITIONS_EACH < partitions:
            self._producers.append(Producer(self._options))

    def send(self, count: int) -> None:
        """Hand the next `count` requests, partition by partition in turn, to the client."""
        sent, turns = self.account.sent, self._turns
        for _ in range(count):
            partition = turns.index(min(turns))
            if turns[partition] == math.inf:
                return
            first = not sent[partition]
            value, headers = build(choose_kind(self._random), partition, sent[partition])
            self._waiting[partition].append((value, headers, self._opened if first else self._confirmed))
            sent[partition] += 1
            turns[partition] = math.inf if first else turns[partition] + 1
            self._hand_over(partition)

    def _hand_over(self, partition: int) -> None:
        """Give the client what waits in a partition, unless others of it are under way for long."""
        waiting, now_s = self._waiting[partition], time.monotonic()
        if self._under_way[partition]:
            if self._slow[partition] or now_s - self._since_s[partition] > SLOW_S:
                return
        else:
            self._since_s[partition] = now_s
        producer = self._producers[partition // PARTITIONS_EACH]
        while waiting:
            value, headers, then = waiting[0]
            told = partial(then, partition)
            try:
                producer.produce(self._topic, value, partition=partition, headers=headers, on_delivery=told)
            except BufferError:
                producer.poll(TICK_S)
                continue
            except KafkaException as error:
                # A broker that has just started may have told this client of the partitions there were before.
                if error.args[0].code() != KafkaError._UNKNOWN_PARTITION:
                    raise
                self._wait_for(producer, len(self.account.sent))
                continue
            waiting.popleft()
            self._under_way[partition] += 1

    def grow(self) -> None:
        """Send to all partitions from here on: there are more now."""
        before = len(self.account.sent)
        found = self._wait_for(self._producers[0], before + 1)
        self._make(found)
        for producer in self._producers:
            self._wait_for(producer, found)
        self.account.sent += [0] * (found - before)
        self._waiting += [deque() for _ in range(found - before)]
        self._under_way += [0] * (found - before)
        self._since_s += [0.0] * (found - before)
        self._slow += [False] * (found - before)
        self._turns = [math.inf if turn == math.inf else 0.0 for turn in self._turns] + [0.0] * (found - before)

    def _wait_for(self, producer: Producer, partitions: int) -> int:
        """Return how many partitions a client knows, once these are at least as many. TimeoutError."""
        give_up_s = time.monotonic() + FLUSH_S_MAX
        while True:
            found = producer.list_topics(self._topic, timeout=FLUSH_S_MAX).topics[self._topic].partitions
            if len(found) >= partitions:
                return len(found)
            if time.monotonic() > give_up_s:
                raise TimeoutError(f"{self._topic} has no more than {len(found)} partitions")
            self.poll(TICK_S)

    def poll(self, seconds: float) -> None:
        """Give the client time to call back."""
        until = time.monotonic() + seconds
        for producer in self._producers:
            producer.poll(0)
        for partition, waiting in enumerate(self._waiting):
            if waiting:
                self._hand_over(partition)
        time.sleep(max(0.0, until - time.monotonic()))

    def finish(self) -> Sent:
        """Wait for what is under way."""
        until = time.monotonic() + FLUSH_S_MAX
        while any(self._waiting) and time.monotonic() < until:
            self.poll(TICK_S)
        if left := sum(producer.flush(max(0.0, until - time.monotonic())) for producer in self._producers):
            self._fail(f"{left} requests were not confirmed within {FLUSH_S_MAX} s")
        self.account.done = True
        return self.account

    def _opened(self, partition: int, error: KafkaError | None, message: Message) -> None:
        """Go on with a partition whose first request is there."""
        self._turns[partition] = min((turn for turn in self._turns if turn != math.inf), default=0.0)
        self._confirmed(partition, error, message)

    def _confirmed(self, partition: int, error: KafkaError | None, message: Message) -> None:
        self._under_way[partition] -= 1
        self._slow[partition] = (message.latency() or 0.0) > SLOW_S
        self._since_s[partition] = time.monotonic()
        if error is None:
            self.account.confirmed += 1
        else:
            self._fail(str(error))

    def _failed(self, error: KafkaError) -> None:
        if error.fatal():
            self._fail(str(error))

    def _fail(self, failure: str) -> None:
        self.account.failure = self.account.failure or failure


def _file_logger(path: Path) -> logging.Logger:
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(path, maxBytes=LOG_BYTES_MAX, backupCount=1)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger = logging.getLogger("torture-load")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(handler)
    return logger


def main() -> int:
    """Command line in, exit code out."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture.produce")
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--partitions", type=int, required=True)
    parser.add_argument("--per-second", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--linger-ms", type=int, default=LINGER_MS)
    parser.add_argument("--log", type=Path)
    arguments = parser.parse_args()
    stopped: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: stopped.append(number))
    begun: list[float] = []
    signal.signal(signal.SIGUSR1, lambda _number, _frame: begun.append(time.monotonic()))
    grown: list[int] = []
    signal.signal(signal.SIGUSR2, lambda number, _frame: grown.append(number))
    load = Load(
        arguments.bootstrap,
        arguments.topic,
        arguments.partitions,
        arguments.seed,
        arguments.log,
        linger_ms=arguments.linger_ms,
    )
    load.send(arguments.partitions)
    reported = time.monotonic()
    while not stopped and load.account.failure is None:
        now = time.monotonic()
        if grown:
            grown.pop()
            load.grow()
            _say(load.account)
        if begun:
            due = arguments.partitions + int((now - begun[0]) * arguments.per_second)
            load.send(due - sum(load.account.sent))
        if now - reported >= REPORT_S:
            reported = now
            _say(load.account)
        load.poll(TICK_S)
    account = load.finish()
    _say(account)
    return 0 if account.failure is None else 1


def _say(account: Sent) -> None:
    sys.stdout.write(msgspec.json.encode(account).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
