"""Which records of a responses topic are answers that count. One home of the rule, total over any bytes.

Everybody who may write to the topic can put anything there, so nothing here raises, whatever a record holds. An answer
counts if

1. its headers name one request, once: a decimal number of ASCII digits from 0 to 2^63 − 1;
2. it carries the tag of somebody who has the environment's key (`AnswerTags`): the workers do;
3. its request lies above those of all answers before it in the partition that count.

What does not is void. A record with one of these headers twice is no answer, because clients read that differently.
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any, Literal, Protocol

from msgspec import Struct

from hotswap_events import headers as header_names
from hotswap_events.inference.messages import MSGPACK_CONTENT_TYPE

OFFSET_MAX = 2**63 - 1
OFFSET_DIGITS_MAX = 19
HEADERS_MAX = 64
"""Headers that a record may have. Workers write at most six; a record with more than this is none of theirs."""
KEYS_MAX = 4

_MSGPACK = MSGPACK_CONTENT_TYPE.encode()
_NAMES = frozenset(
    {header_names.REQUEST_OFFSET, header_names.ANSWER_TAG, header_names.STATUS, header_names.CONTENT_TYPE}
)

AnyHeaders = Iterable[tuple[Any, Any]] | None
"""Headers as any client hands them out: names and values may be anything."""

Verdict = Literal["valid", "void", "untagged", "no-answer"]
"""`untagged`: it names a request, but does not prove that it is from a worker. `no-answer`: it names no request."""


class AnswerHeaders(Struct, frozen=True, gc=False):
    """What the headers of an answer say."""

    request_offset: int
    """In the request partition of the same number."""
    tag: bytes | None
    ok: bool
    """Whether it is an answer; else an error answer."""
    raw: bool
    """Whether the body is msgpack; else JSON."""


def offset_of(text: Any) -> int | None:
    """Return the offset that a header's value says, or None for anything else that it holds."""
    # isdigit() of bytes takes ASCII digits only: no sign, no underscore, no digits of other scripts
    if type(text) is not bytes or not text.isdigit() or len(text) > OFFSET_DIGITS_MAX:
        return None
    offset = int(text)
    return offset if offset <= OFFSET_MAX else None


def read_answer(headers: AnyHeaders) -> AnswerHeaders | None:
    """Return what the headers of a record say, or None if they are not those of an answer."""
    found: dict[str, Any] = {}
    for number, (name, value) in enumerate(headers or ()):
        if number >= HEADERS_MAX:
            return None
        if type(name) is str and name in _NAMES:
            if name in found:
                return None
            found[name] = value
    offset = offset_of(found.get(header_names.REQUEST_OFFSET))
    if offset is None:
        return None
    tag = found.get(header_names.ANSWER_TAG)
    return AnswerHeaders(
        offset,
        tag if type(tag) is bytes else None,
        found.get(header_names.STATUS) == b"ok",
        found.get(header_names.CONTENT_TYPE) == _MSGPACK,
    )


class Place(Protocol):
    """Where a request lies in the request topic."""

    @property
    def partition(self) -> int:
        """Its partition."""
        ...

    @property
    def offset(self) -> int:
        """Its offset there."""
        ...


class TagCheck(Protocol):
    """Whether a tag proves that an answer is from a worker."""

    def holds(self, partition: int, request_offset: int, tag: bytes | None) -> bool:
        """Return whether the tag is right for the answer to this request of the model."""
        ...


class AnswerTags:
    """The tags of one environment's answers.

    `keys`: secrets, the first of which writes; all are good for reading, so that a new one can be handed out before the
    old one goes. Without any, the key is made of the prefix: that tells answers of workers from those of other
    environments and from what was written by mistake, not from those of somebody who wants to deceive.

    A tag is 16 hexadecimal digits: those from 16 · (offset mod 8) on, of the keyed BLAKE2b-512 of model name, partition
    and offset div 8, with a null byte between them. So each is a secret of its own, and costs an eighth of a hash. The
    key is the BLAKE2b-512 of `hotswap-answers`, prefix and secret, likewise.
    """

    def __init__(self, prefix: str, keys: Sequence[str] = ()) -> None:
        if len(keys) > KEYS_MAX:
            raise ValueError(f"{len(keys)} keys; at most {KEYS_MAX} are of use at a time")
        # The prefix is always in it: one secret for two environments does not make their answers each other's.
        self._keys = tuple(
            blake2b(b"hotswap-answers\0%b\0%b" % (prefix.encode(), key.encode())).digest() for key in keys or ("",)
        )

    def of(self, model_name: str) -> "ModelTags":
        """Return the tags of one model, for one thread."""
        return ModelTags(model_name, self._keys)


class ModelTags:
    """Writes and checks the tags of one model's answers: a TagCheck."""

    def __init__(self, model_name: str, keys: Sequence[bytes]) -> None:
        self._begun = [blake2b(b"%b\0" % model_name.encode(), key=key) for key in keys]
        self._latest: dict[int, tuple[int, bytes, tuple[bytes, ...]]] = {}
        """Partition → which eight requests, and the tags of all of them by the first key and by each other one."""

    def tag(self, partition: int, request_offset: int) -> bytes:
        """Return the tag of the answer to a request."""
        latest = self._latest.get(partition)
        if latest is None or latest[0] != request_offset >> 3:
            latest = self._hashed(partition, request_offset)
        start = (request_offset & 7) << 4
        return latest[1][start : start + 16]

    def tags(self, requests: Iterable[Place]) -> list[bytes]:
        """Return the tag of the answer to each request: sooner than one by one where they follow each other."""
        tags: list[bytes] = []
        partition = eight = -1
        of_eight = b""
        for request in requests:
            offset = request.offset
            if offset >> 3 != eight or request.partition != partition:
                partition, eight = request.partition, offset >> 3
                latest = self._latest.get(partition)
                if latest is None or latest[0] != eight:
                    latest = self._hashed(partition, offset)
                of_eight = latest[1]
            start = (offset & 7) << 4
            tags.append(of_eight[start : start + 16])
        return tags

    def holds(self, partition: int, request_offset: int, tag: bytes | None) -> bool:
        """See TagCheck."""
        if tag is None:
            return False
        latest = self._latest.get(partition)
        if latest is None or latest[0] != request_offset >> 3:
            latest = self._hashed(partition, request_offset)
        start = (request_offset & 7) << 4
        if latest[1][start : start + 16] == tag:
            return True
        return any(tags[start : start + 16] == tag for tags in latest[2])

    def _hashed(self, partition: int, request_offset: int) -> tuple[int, bytes, tuple[bytes, ...]]:
        eight = request_offset >> 3
        place = b"%d\0%d" % (partition, eight)
        hashes = [begun.copy() for begun in self._begun]
        for each in hashes:
            each.update(place)
        first, *others = [each.hexdigest().encode() for each in hashes]
        latest = self._latest[partition] = eight, first, tuple(others)
        return latest


class AnswerRule:
    """Which answers of one partition count, in the order of the topic: `take` each record's headers.

    Without `tags` an answer need not prove anything: for those who have no key.
    """

    __slots__ = ("highest", "no_answers", "partition", "tags", "untagged", "void")

    def __init__(self, partition: int, tags: TagCheck | None) -> None:
        self.partition = partition
        self.tags = tags
        self.highest = -1
        """The highest request answered; -1 before the first answer."""
        self.void = 0
        """Answers whose request was passed before: those of a worker that woke up late."""
        self.untagged = 0
        """Records that name a request and prove nothing."""
        self.no_answers = 0
        """Records that name no request."""

    def take(self, headers: AnyHeaders) -> AnswerHeaders | None:
        """Return what an answer's headers say, or None if it does not count; those are counted here."""
        answer = read_answer(headers)
        if answer is None:
            self.no_answers += 1
            return None
        return answer if self.judge(answer.request_offset, answer.tag) == "valid" else None

    def judge(self, request_offset: int, tag: bytes | None) -> Verdict:
        """Judge the next answer of the partition."""
        if self.tags is not None and not self.tags.holds(self.partition, request_offset, tag):
            self.untagged += 1
            return "untagged"
        if request_offset <= self.highest:
            self.void += 1
            return "void"
        self.highest = request_offset
        return "valid"
