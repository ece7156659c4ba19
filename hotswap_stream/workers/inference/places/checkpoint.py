"""Answers are the checkpoint: where to go on in a partition, read from the answers that are there.

The highest request offset in the tail of the answers, or the group's committed offset, whichever is larger: a zombie
may have filled the tail with low offsets (all void), and the commit may lag behind the answers. Only answers that carry
the workers' tag say anything: else whoever may write to the topic could have requests passed over.

Each partition is looked at by itself, all at the same time: one whose leader is away holds up no other.
"""

import time
from collections.abc import Callable, Collection, Mapping

import msgspec
import structlog
from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition
from msgspec import Struct

from hotswap_events.headers import REQUEST_OFFSET
from hotswap_events.inference.answers import AnswerHeaders, AnswerRule, ModelTags, offset_of, read_answer
from hotswap_stream.kafka.librdkafka import OFFSET_TAIL, watermarks
from hotswap_stream.kafka.unreadable_batches import ReadOn
from hotswap_stream.workers.inference.places.hand_over import Place
from hotswap_stream.workers.inference.requests.records import records_of

_log = structlog.get_logger(__name__)

TAIL_RECORDS = 2_000
"""Answers looked at per partition."""
ASK_SECONDS_MAX = 2.0
"""How long a broker is waited for, before all partitions whose places are not known yet are looked at anew."""
QUIET_SECONDS_MAX = 2.0
"""The same for records of a partition."""
OTHERS_QUIET_SECONDS_MAX = 0.3
"""The same when places of other partitions are known, or somebody waits for the client: those must not wait long."""
_POLL_SECONDS = 0.1
_READ_RECORDS = 1_000


class _Facts(Struct):
    registry_offset: int | None = None


class _Answer(Struct):
    """As much of an answer as is read here."""

    parameters: _Facts


_json = msgspec.json.Decoder(_Answer)
_msgpack = msgspec.msgpack.Decoder(_Answer)


class Tails:
    """Read the end of the answers of some partitions, and see whether their requests can be read. Blocking."""

    def __init__(
        self, consumer: Consumer, *, request_topic: str, response_topic: str, tags: ModelTags, read_on: ReadOn
    ) -> None:
        """Make one.

        Args:
            consumer: One of `tail_consumer`; it is assigned partitions, and none at the end of each read.
            request_topic: The topic of the requests.
            response_topic: The topic of their answers.
            tags: Tells the workers' answers from what others wrote.
            read_on: Asked about what cannot be read in the answers.
        """
        self._consumer = consumer
        self._request_topic, self._response_topic = request_topic, response_topic
        self._tags, self._read_on = tags, read_on
        self.error: KafkaError | None = None
        """What was said last of answers that cannot be read."""
        self._rules: dict[int, AnswerRule] = {}
        self._ends: dict[int, int] = {}
        self._last: dict[int, tuple[AnswerHeaders, Message]] = {}
        """The answers to the highest requests of those that are no errors: versions give these."""
        self._left: set[tuple[str, int]] = set()

    def read(
        self,
        partitions: Collection[int],
        told: Collection[int] = (),
        *,
        wanted: Callable[[], Collection[int]],
        hurried: Callable[[], bool] = lambda: False,
        patience: int = 1,
    ) -> dict[int, Place]:
        """Look at partitions, until all are known or nothing comes any more.

        Args:
            partitions: The partitions.
            told: Those of them whose place somebody has told: only their requests are looked at.
            wanted: Asked again and again which of them are still wanted.
            hurried: Asked whether somebody else waits for the client.
            patience: So many times as long as otherwise, what does not come is waited for.

        Returns:
            Partition → the highest request offset that is answered in its tail, or -1, and what chose the version that
            did it. Those that cannot be read now are left out.
        """
        tails = [number for number in partitions if number not in told]
        self._rules = {number: AnswerRule(number, self._tags) for number in tails}
        self._ends, self._last = {}, {}
        places = [TopicPartition(self._response_topic, number, OFFSET_TAIL - TAIL_RECORDS) for number in tails]
        places += [TopicPartition(self._request_topic, number, OFFSET_END) for number in partitions]
        self._left = {(place.topic, place.partition) for place in places}
        self._consumer.assign(places)
        try:
            self._read(len(set(partitions)), wanted, hurried, patience)
        finally:
            self._consumer.unassign()
        self._say_foreign()
        known = set(partitions) & set(wanted()) - self._numbers_left()
        return {number: self._tail(number) for number in sorted(known)}

    def _tail(self, number: int) -> Place:
        rule, last = self._rules.get(number), self._last.get(number)
        if rule is None or rule.highest < 0:
            return Place(-1, -1)
        return Place(rule.highest, None if last is None else _chosen_by(*last))

    def _numbers_left(self) -> set[int]:
        return {number for _topic, number in self._left}

    def _read(
        self, count: int, wanted: Callable[[], Collection[int]], hurried: Callable[[], bool], patience: int
    ) -> None:
        came_s = time.monotonic()
        while self._left:
            messages = self._consumer.consume(1, _POLL_SECONDS)
            if messages:
                messages += self._consumer.consume(_READ_RECORDS, 0)
            still = wanted()
            now_s, before = time.monotonic(), len(self._left)
            came = self._take(messages)
            if came or len(self._left) < before:
                came_s = now_s
            self._left = {(topic, number) for topic, number in self._left if number in still}
            others = len(self._numbers_left()) < count or hurried()
            if now_s - came_s > patience * (OTHERS_QUIET_SECONDS_MAX if others else QUIET_SECONDS_MAX):
                return

    def _take(self, messages: list[Message]) -> bool:
        """Take in what came; return whether any of it was of the answers."""
        good: list[Message] = []
        for message in messages:
            error, topic, number, offset = message.error(), message.topic(), message.partition(), message.offset()
            if topic is None or number is None:
                continue
            if error is not None and error.code() == KafkaError._PARTITION_EOF:  # the client's public name for it
                self._left.discard((topic, number))
            elif topic == self._request_topic:
                if error is None:  # it can be read, and that is all that is asked here
                    self._left.discard((topic, number))
            elif error is None:
                good.append(message)
                end = self._end(number)
                if offset is not None and end is not None and offset >= end - 1:
                    self._left.discard((topic, number))
            elif (topic, number) in self._left and not self._read_on(self._consumer, message):
                self.error = error
        for message in reversed(good):  # so that most lie below what is known by then, and cost no more than a look
            self._take_answer(message)
        return bool(good)

    def _take_answer(self, message: Message) -> None:
        [record] = records_of(self._response_topic, [message])
        rule = self._rules[record.partition]
        offset = next((offset_of(value) for name, value in record.headers if name == REQUEST_OFFSET), None)
        last = self._last.get(record.partition)
        known = -1 if last is None else last[0].request_offset
        if offset is None or offset > rule.highest:
            rule.take(record.headers)
        elif offset <= known:
            return
        answer = read_answer(record.headers)
        if answer is None or not answer.ok or answer.request_offset <= known:
            return
        if self._tags.holds(record.partition, answer.request_offset, answer.tag):
            self._last[record.partition] = answer, message

    def _end(self, number: int) -> int | None:
        """Return where the answers ended when their first were read: somebody may still be writing."""
        end = self._ends.get(number)
        if end is None:
            try:
                known = self._consumer.get_watermark_offsets(TopicPartition(self._response_topic, number), cached=True)
            except KafkaException:
                return None
            if known[1] < 0:
                return None
            end = self._ends[number] = known[1]
        return end

    def _say_foreign(self) -> None:
        foreign = {number: rule.untagged + rule.no_answers for number, rule in self._rules.items()}
        if any(foreign.values()):
            _log.warning(
                "answers_of_others_ignored",
                topic=self._response_topic,
                records={number: count for number, count in foreign.items() if count},
                meaning="they carry no tag by HOTSWAP_ANSWERS_KEY: of an older release, by another key, or forged",
            )


def _chosen_by(headers: AnswerHeaders, message: Message) -> int | None:
    """Return the registry offset that an answer names; None if it names none, as errors do that no version caused."""
    try:
        answer = (_msgpack if headers.raw else _json).decode(message.value() or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return answer.parameters.registry_offset


def resume_offset(*, committed: int | None, last_answered: int | None, begin: int, end: int) -> int:
    """Return the offset of the first request of a partition that has no answer.

    Args:
        committed: What the group committed; None without a commit.
        last_answered: The highest request offset in the tail of the answers; None if there is none.
        begin: First offset that is there in the request topic.
        end: First offset that is not there yet; the result stays within both, in case the topic was made anew.
    """
    wanted = max(0 if committed is None else committed, 0 if last_answered is None else last_answered + 1)
    if wanted > end:
        _log.warning("checkpoint_beyond_end", wanted=wanted, end=end)
    return min(max(wanted, begin), end)


def resume_positions(
    consumer: Consumer,
    tails: Tails,
    request_topic: str,
    partitions: Collection[int],
    given_up: Mapping[int, Place],
    *,
    wanted: Callable[[], Collection[int]],
    hurried: Callable[[], bool],
    patience: int = 1,
) -> dict[int, Place]:
    """Find where to go on, in those partitions that can be looked at now. Blocking.

    Args:
        consumer: One of `tail_consumer`, by the name of the workers' group.
        tails: Reads with the same consumer.
        request_topic: The topic of the requests.
        partitions: The partitions to go on with.
        given_up: The places that somebody has told.
        wanted: Asked again and again which of them are still wanted.
        hurried: Asked whether somebody else waits for the consumer.
        patience: So many times as long as otherwise, what does not come is waited for: a broker may be slow, and an
            answer large.

    Returns:
        Partition → its place. Those whose leader is away are left out.

    Raises:
        KafkaException: Nothing can be said of any.
    """
    committed = {number: place.offset for number, place in given_up.items()}
    unsaid = [TopicPartition(request_topic, number) for number in partitions if number not in given_up]
    if unsaid:
        found = consumer.committed(unsaid, timeout=patience * ASK_SECONDS_MAX)
        committed |= {place.partition: place.offset for place in found if place.offset >= 0}
    places: dict[int, Place] = {}
    found_tails = tails.read(partitions, given_up.keys(), wanted=wanted, hurried=hurried, patience=patience)
    for number, tail in found_tails.items():
        try:
            asked = TopicPartition(request_topic, number)
            begin, end = watermarks(consumer, asked, seconds_max=patience * ASK_SECONDS_MAX)
        except KafkaException as error:  # its leader has gone in this moment
            _log.debug("place_not_found", topic=request_topic, partition=number, error=str(error))
            continue
        offset = resume_offset(
            committed=committed.get(number),
            last_answered=tail.offset if tail.offset >= 0 else None,
            begin=begin,
            end=end,
        )
        told = given_up.get(number)
        # Answers that are gone from their topic, or that nobody looked at, say nothing of versions
        gone = tail.offset < 0 and committed.get(number, 0) > 0
        places[number] = Place(offset, told.chosen_by if told is not None else None if gone else tail.chosen_by)
    return places
