"""The judge itself: it must find what it is there to find."""

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
from tests.torture.findings import SHOWN_MAX, Findings
from tests.torture.judge import AnswerRecord, PartitionJudge, RequestTable
from tests.torture.request_kinds import BAD, KINDS, MODEL, NotOurRequestError, build, read, request_id
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
    table = RequestTable(PARTITION, len(KINDS_ASKED))
    for number, kind in enumerate(KINDS_ASKED):
        value, headers = build(kind, PARTITION, number)
        table.put(number, 1_000 + number, read(value, _plain(headers), PARTITION))
    return table


def _plain(headers: Any) -> list[tuple[str, bytes | None]]:
    return list(headers)


def _answer(
    requests: RequestTable, offset: int, version: str = "v1", by: int | None = 2, **changes: Any
) -> AnswerRecord:
    """A right answer, or one made wrong by `changes` to its body."""
    kind = requests.kind(min(offset, requests.count - 1))
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
        first_row, rows = requests.input(min(offset, requests.count - 1))
        model = ExactModel(int(version[1:]))
        data: Any = model.answer_bytes(first_row, rows) if raw else model.answer(first_row, rows)
        body |= {"id": request_id(PARTITION, offset)}
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
        findings.add("kind", str(number))
    assert findings.counts == {"kind": 100}
    assert len(findings.examples) == SHOWN_MAX


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
