"""The judge itself: it must find what it is there to find."""

from typing import Any

import msgspec
import pytest
from aiokafka import ConsumerRecord

from tests.fault.answer_check import judge

CHOSEN = {2: "v1", 3: "v2"}


def _answer(request_offset: int, version: str = "v1", registry_offset: int = 2) -> "ConsumerRecord[Any, Any]":
    value = msgspec.json.encode(
        {
            "model_name": "tiny",
            "model_version": version,
            "outputs": [{"name": "y", "shape": [1, 2], "datatype": "FP32", "data": [float(version[1:])] * 2}],
            "parameters": {
                "request_partition": 0,
                "request_offset": request_offset,
                "worker": "w1",
                "registry_offset": registry_offset,
            },
        }
    )
    headers = [("hotswap-request-offset", b"%d" % request_offset)]
    return ConsumerRecord("t", 0, request_offset, 0, 0, None, value, None, 0, len(value), headers)


def test_a_clean_run_has_no_problems() -> None:
    verdict = judge({0: 3}, {0: [_answer(0), _answer(1), _answer(2, "v2", 3)]}, CHOSEN)
    assert (verdict.problems, verdict.valid, verdict.void) == ([], 3, 0)


def test_a_late_repetition_is_void() -> None:
    verdict = judge({0: 2}, {0: [_answer(0), _answer(1), _answer(0), _answer(1)]}, CHOSEN)
    assert (verdict.problems, verdict.valid, verdict.void) == ([], 2, 2)


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ([_answer(0), _answer(2)], "passed over"),
        ([_answer(0), _answer(1)], "have no answer"),
        ([_answer(1), _answer(0), _answer(2)], "passed over"),
        ([_answer(0), _answer(1), _answer(2, "v2", 2)], "became active"),
        ([_answer(0), _answer(1), _answer(2, "v1", 9)], "became active"),
    ],
)
def test_loss_disorder_and_wrong_versions_are_found(answers: list[Any], problem: str) -> None:
    verdict = judge({0: 3}, {0: answers}, CHOSEN)
    assert any(problem in found for found in verdict.problems), verdict.problems
