"""The judge itself: it must find what it is there to find."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from hotswap_events import headers as header_names
from hotswap_events.commands import AnyCommand, RegisterVersion, RollBack, SwitchVersion
from hotswap_events.inference.answers import AnswerTags
from hotswap_events.registry.events import ArtifactFacts, Provenance
from hotswap_stream.adapters.clock import RandomIds, SystemClock
from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from hotswap_stream.application.log.port import LogRecord
from hotswap_stream.application.registry.registry import Registry
from tests.torture.exact_model import ExactModel
from tests.torture.findings import SHOWN_MAX, Findings, Place
from tests.torture.judge import AnswerRecord, PartitionJudge
from tests.torture.request_kinds import BAD, KINDS, MODEL, NAMELESS, NotOurRequestError, build, read, request_id
from tests.torture.request_table import RequestTable
from tests.torture.version_history import VALUE_TAG, VersionHistory

PARTITION = 3
TAGS = AnswerTags("torture").of(MODEL)
KINDS_ASKED = ("json", "msgpack", "shape", "json", "no-value", "msgpack")


def _facts(value: int) -> ArtifactFacts:
    return ArtifactFacts(digest=f"sha256:{value:064x}", size_bytes=100)


async def _log() -> list[LogRecord]:
    """Offsets: 0 v1 registered, 1 v2 registered, 2 v1 active, 3 v2 active, 4 v1 active, 5 another model, 6 void."""
    log = MemoryRegistryLog(MemoryRegistry(SystemClock()))
    registry = Registry(log, clock=SystemClock(), ids=RandomIds(), source="/test")
    await registry.start()
    numbers = iter(range(100))

    def meta(model_name: str = MODEL) -> dict[str, Any]:
        return {"command_id": str(next(numbers)), "actor": "test", "model_name": model_name}

    def registration(value: int, model_name: str = MODEL) -> AnyCommand:
        provenance = Provenance(origin="imported", created_by="test")
        return RegisterVersion(
            **meta(model_name), artifact=_facts(value), provenance=provenance, tags={VALUE_TAG: str(value)}
        )

    for command in (
        registration(1),
        registration(2),
        SwitchVersion(**meta(), model_version="v1"),
        SwitchVersion(**meta(), model_version="v2"),
        RollBack(**meta()),
        registration(1, "another"),
    ):
        assert (await registry.handle(command)).status == "accepted"
    records = [record async for page in log.read(0, 1 << 62) for record in page]
    await registry.stop()
    return [*records, LogRecord(len(records), 0, MODEL.encode(), records[2].value)]


@pytest.fixture
async def history() -> VersionHistory:
    return VersionHistory.of(await _log(), MODEL)


@pytest.fixture
def requests() -> RequestTable:
    return _table(range(len(KINDS_ASKED)))


@pytest.fixture
def twice() -> RequestTable:
    """Requests 1 to 4 are there a second time, at the offsets 5 to 8; the last is at 9."""
    return _table([0, 1, 2, 3, 4, 1, 2, 3, 4, 5])


def _table(numbers: Sequence[int]) -> RequestTable:
    findings = Findings()
    table = RequestTable(PARTITION, len(numbers), findings)
    for offset, number in enumerate(numbers):
        value, headers = build(KINDS_ASKED[number], PARTITION, number)
        table.put(offset, 1_000 + offset, read(value, _plain(headers), PARTITION))
    table.finish()
    assert findings.counts == {}
    return table


def _plain(headers: Any) -> list[tuple[str, bytes | None]]:
    return list(headers)


def _answer(
    requests: RequestTable, offset: int, version: str = "v1", by: int | None = 2, **changes: Any
) -> AnswerRecord:
    """A right answer, or one made wrong by `changes` to its body."""
    at = min(offset, requests.count - 1)
    kind = requests.kind(at)
    raw = kind == "msgpack"
    facts = {
        "request_partition": PARTITION,
        "request_offset": offset,
        "worker": "w1",
        "registry_offset": by,
        "artifact_digest": _facts(int(version[1:])).digest,
    }
    body: dict[str, Any] = {"model_name": MODEL, "model_version": version, "parameters": facts}
    if kind in BAD:
        body |= {"error": "no", "error_code": BAD[kind]}
    else:
        first_row, rows = requests.input(at)
        model = ExactModel(int(version[1:]))
        data: Any = model.answer_bytes(first_row, rows) if raw else model.answer(first_row, rows)
        body |= {"id": request_id(PARTITION, requests.number(at))}
        body |= {"outputs": [{"name": "y", "shape": [rows, 2], "datatype": "FP32", "data": data}]}
    for name in [name for name in changes if name in facts]:
        facts[name] = changes.pop(name)
    body |= changes
    headers: list[tuple[str, bytes | None]] = [
        (header_names.CONTENT_TYPE, b"application/msgpack" if raw else b"application/json"),
        (header_names.REQUEST_OFFSET, b"%d" % offset),
        (header_names.STATUS, b"error" if "error" in body else b"ok"),
        (header_names.ANSWER_TAG, TAGS.tag(PARTITION, offset)),
    ]
    encoded = msgspec.msgpack.encode(body) if raw else msgspec.json.encode(body)
    return AnswerRecord(offset, 2_000 + offset, encoded, headers)


def _judge(
    requests: RequestTable, history: VersionHistory, answers: list[AnswerRecord]
) -> tuple[PartitionJudge, Findings]:
    findings = Findings()
    judge = PartitionJudge(requests, history, findings, TAGS)
    for answer in answers:
        judge.take(answer)
    judge.finish()
    return judge, findings


def test_a_clean_run_has_no_problems(requests: RequestTable, history: VersionHistory) -> None:
    chosen = [("v1", 2), ("v1", 2), ("v2", 3), ("v2", 3), ("v1", 4), ("v1", 4)]
    answers = [_answer(requests, offset, *by) for offset, by in enumerate(chosen)]
    judge, findings = _judge(requests, history, answers)
    assert findings.counts == {}
    assert (judge.valid_count, judge.void_count, judge.ok_count) == (6, 0, 4)
    assert judge.timestamps_ms.tolist() == [2_000 + offset for offset in range(6)]
    assert (history.swaps, history.rollbacks_by_fleet) == (3, 0)


REFUSED: dict[str, Any] = {"error": "id '3-1' is that of the request at offset 1", "error_code": "duplicate-id"}


def _answers_to_all(twice: RequestTable) -> list[AnswerRecord]:
    """Right answers: the worker refuses what it knows, and of `no-value` it knows no id."""
    first = [_answer(twice, offset) for offset in range(5)]
    again = [
        _answer(twice, offset, **({} if twice.kind(offset) in NAMELESS else {"by": None, "version": "v1", **REFUSED}))
        for offset in range(5, 9)
    ]
    return [*first, *[_without_version(answer) for answer in again], _answer(twice, 9)]


def _without_version(answer: AnswerRecord) -> AnswerRecord:
    """What is refused before a version is chosen names none."""
    body = msgspec.json.decode(answer.value or b"") if b"json" in (answer.headers[0][1] or b"") else None
    if body is None:
        body = msgspec.msgpack.decode(answer.value or b"")
    if body["parameters"]["registry_offset"] is None:
        body["model_version"] = body["parameters"]["artifact_digest"] = None
    raw = b"msgpack" in (answer.headers[0][1] or b"")
    encoded = msgspec.msgpack.encode(body) if raw else msgspec.json.encode(body)
    return AnswerRecord(answer.offset, answer.timestamp_ms, encoded, answer.headers)


def test_a_request_written_twice_is_refused_the_second_time(twice: RequestTable, history: VersionHistory) -> None:
    judge, findings = _judge(twice, history, _answers_to_all(twice))
    assert findings.counts == {}, findings.examples
    assert (twice.repeats, twice.different) == ([5, 6, 7, 8], 6)
    assert (judge.valid_count, judge.void_count, judge.ok_count, judge.repeats_refused) == (10, 0, 4, 3)
    assert judge.other_errors == {5, 7}, "good ones that were refused need a dead letter, bad ones do anyway"


def test_who_knows_nothing_of_the_first_answers_a_request_once_more(
    twice: RequestTable, history: VersionHistory
) -> None:
    answers = [_answer(twice, offset, *(("v1", 2) if offset < 5 else ("v2", 3))) for offset in range(10)]
    judge, findings = _judge(twice, history, answers)
    assert (findings.counts, judge.valid_count, judge.repeats_refused) == ({}, 10, 0), findings.examples


@pytest.mark.parametrize(
    ("problem", "place", "changes"),
    [
        ("unexpected-error", 1, REFUSED),  # the first of two is no repetition
        ("unexpected-error", 9, REFUSED),  # nor is what follows
        ("unexpected-error", 8, REFUSED),  # of a request without a value no id is known
        ("unexpected-error", 5, {"error": "no", "error_code": "model-failure"}),
        ("unexpected-error", 6, {"error_code": "model-failure"}),
        ("wrong-id", 5, {"id": request_id(PARTITION, 5)}),  # its offset is not its number
        ("wrong-id", 9, {"id": request_id(PARTITION, 9)}),
        ("wrong-bits", 5, {"outputs": []}),
        ("wrong-place", 7, {"request_offset": 3}),  # the answer of the first, once more
        ("not-active", 7, {"version": "v2"}),
    ],
)
def test_a_wrong_answer_to_a_request_written_twice_is_found(
    twice: RequestTable, history: VersionHistory, problem: str, place: int, changes: dict[str, Any]
) -> None:
    answers = [_answer(twice, offset) for offset in range(10)]
    answers[place] = _answer(twice, place, **changes)
    _, findings = _judge(twice, history, answers)
    assert findings.counts == {problem: 1}, findings.examples
    assert findings.places == [Place(PARTITION, place)]


def test_a_request_written_twice_without_a_second_answer_is_found(twice: RequestTable, history: VersionHistory) -> None:
    answers = [_answer(twice, offset) for offset in range(10)]
    _, findings = _judge(twice, history, answers[:5] + answers[9:])
    assert findings.counts == {"passed-over": 1}, "every record has its answer"


def test_answers_that_their_producer_wrote_twice_are_void_the_second_time(
    requests: RequestTable, history: VersionHistory
) -> None:
    answers = [_answer(requests, offset) for offset in range(6)]
    judge, findings = _judge(requests, history, [*answers[:4], *answers[1:4], *answers[4:]])
    assert (findings.counts, judge.valid_count, judge.void_count) == ({}, 6, 3)


def test_a_late_repetition_is_void_whatever_it_says(requests: RequestTable, history: VersionHistory) -> None:
    answers = [_answer(requests, offset) for offset in range(6)]
    late = [_answer(requests, 1), _answer(requests, 5, "v2", 2), AnswerRecord(9, 0, b"?", answers[3].headers)]
    judge, findings = _judge(requests, history, [*answers[:2], answers[0], *answers[2:], *late])
    assert (findings.counts, judge.valid_count, judge.void_count) == ({}, 6, 4)


@pytest.mark.parametrize(
    ("problem", "place", "changes"),
    [
        ("not-active", 0, {"version": "v2"}),  # v1 was active at 2
        ("not-active", 0, {"by": 5}),  # another model's event
        ("not-active", 0, {"by": 6}),  # a void record
        ("not-active", 0, {"by": 1}),  # nothing was active yet
        ("not-active", 0, {"by": 99}),
        ("not-active", 0, {"by": None}),
        ("not-active", 2, {"version": "v2"}),  # error answers too
        ("wrong-digest", 0, {"artifact_digest": _facts(2).digest}),
        ("wrong-bits", 0, {"outputs": [{"name": "y", "shape": [1, 2], "datatype": "FP32", "data": [1.0, 2.0]}]}),
        ("wrong-bits", 1, {"outputs": [{"name": "y", "shape": [1, 2], "datatype": "FP32", "data": b"12345678"}]}),
        ("wrong-bits", 0, {"outputs": []}),
        ("wrong-id", 1, {"id": request_id(PARTITION, 0)}),
        ("wrong-place", 1, {"request_offset": 0}),
        ("wrong-place", 0, {"request_partition": 0}),
        ("wrong-place", 2, {"model_name": "another"}),
        ("unexpected-error", 2, {"error_code": "model-failure"}),
        ("unexpected-error", 0, {"error": "no", "error_code": "no-active-version"}),
        ("unreadable", 0, {"outputs": "none"}),
    ],
)
def test_a_wrong_answer_is_found(
    requests: RequestTable, history: VersionHistory, problem: str, place: int, changes: dict[str, Any]
) -> None:
    answers = [_answer(requests, offset) for offset in range(6)]
    answers[place] = _answer(requests, place, **changes)
    _, findings = _judge(requests, history, answers)
    assert findings.counts == {problem: 1}, findings.examples
    assert f"{PARTITION}/{place}" in findings.examples[0]


@pytest.mark.parametrize(
    ("order", "problems"),
    [
        ([0, 1, 3, 4, 5], {"passed-over": 1}),
        ([0, 1, 2, 3, 4], {"unanswered": 1}),
        ([], {"unanswered": 1}),
        ([1, 0, 2, 3, 4, 5], {"passed-over": 1}),
        ([0, 1, 2, 3, 4, 5, 6], {"answers-nothing": 1}),
    ],
)
def test_loss_and_disorder_are_found(
    requests: RequestTable, history: VersionHistory, order: list[int], problems: dict[str, int]
) -> None:
    _, findings = _judge(requests, history, [_answer(requests, offset) for offset in order])
    assert findings.counts == problems, findings.examples


def test_an_older_choice_after_a_newer_one_is_found(requests: RequestTable, history: VersionHistory) -> None:
    answers = [_answer(requests, offset, "v2", 3) for offset in range(3)]
    _, findings = _judge(requests, history, [*answers, *[_answer(requests, offset) for offset in range(3, 6)]])
    assert findings.counts == {"registry-goes-back": 3}


def test_a_bad_request_that_is_served_and_headers_that_lie_are_found(
    requests: RequestTable, history: VersionHistory
) -> None:
    answers = [_answer(requests, offset) for offset in range(6)]
    served = AnswerRecord(
        2,
        0,
        answers[0].value,
        [*answers[0].headers[:1], *answers[2].headers[1:2], (header_names.STATUS, b"ok"), answers[2].headers[3]],
    )
    _, findings = _judge(requests, history, [*answers[:2], served, *answers[3:]])
    assert findings.counts == {"bad-request-served": 1}


def test_records_of_others_count_for_nothing_and_against_nobody(
    requests: RequestTable, history: VersionHistory
) -> None:
    answers = [_answer(requests, offset) for offset in range(6)]
    nameless = AnswerRecord(3, 0, b"{}", [(header_names.REQUEST_OFFSET, b"x")])
    forged = AnswerRecord(4, 0, answers[5].value, answers[5].headers[:3])
    judge, findings = _judge(requests, history, [*answers[:2], forged, nameless, *answers[2:]])
    assert (findings.counts, judge.valid_count, judge.void_count, judge.foreign_count) == ({}, 6, 0, 2)


def test_many_problems_are_counted_and_a_few_are_shown() -> None:
    findings = Findings()
    for number in range(100):
        findings.add("kind", str(number), Place(PARTITION, number))
    assert findings.counts == {"kind": 100}
    assert len(findings.examples) == SHOWN_MAX
    assert findings.places == [Place(PARTITION, number) for number in range(SHOWN_MAX)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_is_read_as_it_was_built(kind: str) -> None:
    for number in range(40):
        value, headers = build(kind, PARTITION, number)
        asked = read(value, _plain(headers), PARTITION)
        assert (asked.kind, asked.number) == (kind, number)


def test_strange_records_among_the_requests_are_not_guessed_at() -> None:
    value, headers = build("json", PARTITION, 0)
    with pytest.raises(NotOurRequestError):
        read(value, [], PARTITION)
    with pytest.raises(NotOurRequestError):
        read(value, _plain(headers), PARTITION + 1)
    with pytest.raises(NotOurRequestError):
        read(b"{}", _plain(headers), PARTITION)
