"""Each request gets its own answer, whichever of answer and acknowledgement comes first."""

import asyncio
import random

import pytest
from msgspec.structs import replace

from hotswap_events.inference.answers import AnswerRule, AnswerTags
from hotswap_stream.adapters.kafka.inference.correlation import PartitionCorrelation, RawAnswer, Waiter


def answer(offset: int, request_offset: int, value: bytes = b"a") -> RawAnswer:
    return RawAnswer(
        partition=0, offset=offset, request_offset=request_offset, value=value, raw=False, ok=True, tag=None
    )


def waiter() -> Waiter:
    return asyncio.get_running_loop().create_future()


async def test_an_answer_may_come_before_the_acknowledgement() -> None:
    correlation, first, second = PartitionCorrelation(AnswerRule(0, None)), waiter(), waiter()
    correlation.sending()
    correlation.sending()
    for number in (5, 6, 7):  # 5 is somebody else's
        correlation.answered(answer(number, number))
    correlation.acknowledged(6, first)
    correlation.acknowledged(7, second)
    assert first.result().request_offset == 6
    assert second.result().request_offset == 7
    assert correlation.in_flight == 0


async def test_a_void_answer_changes_nothing() -> None:
    correlation, waiting = PartitionCorrelation(AnswerRule(0, None)), waiter()
    correlation.sending()
    correlation.acknowledged(3, waiting)
    correlation.answered(answer(10, 3, b"valid"))
    correlation.answered(answer(11, 3, b"void"))
    assert waiting.result().value == b"valid"
    late = waiter()
    correlation.sending()
    correlation.answered(answer(12, 9))
    correlation.answered(answer(13, 4, b"void"))  # not above 9
    correlation.acknowledged(4, late)
    assert not late.done()


async def test_whoever_gave_up_is_forgotten() -> None:
    correlation, gone, unacknowledged = PartitionCorrelation(AnswerRule(0, None)), waiter(), waiter()
    correlation.sending()
    correlation.acknowledged(1, gone)
    gone.cancel()
    correlation.forget(gone)
    assert correlation.in_flight == 0
    correlation.sending()
    unacknowledged.cancel()
    correlation.answered(answer(1, 2))
    correlation.acknowledged(2, unacknowledged)
    assert correlation.in_flight == 0


async def test_answers_of_others_are_kept_within_a_limit_and_dropped_at_the_next_acknowledgement() -> None:
    correlation = PartitionCorrelation(AnswerRule(0, None), early_answers_max=3)
    fullness = []
    correlation.answered(answer(0, 0))  # not kept: nothing is being sent
    correlation.sending()
    correlation.sending()
    for number in (1, 2, 3):
        correlation.answered(answer(number, number))
        fullness.append(correlation.full)
    correlation.acknowledged(2, waiter())
    fullness.append(correlation.full)
    assert fullness == [False, False, True, False]


@pytest.mark.parametrize(("value_bytes", "full"), [(9, False), (10, True)])
async def test_answers_of_others_are_kept_within_a_limit_of_bytes(value_bytes: int, full: bool) -> None:
    correlation = PartitionCorrelation(AnswerRule(0, None), early_bytes_max=10)
    correlation.sending()
    correlation.answered(answer(0, 0, b"x" * value_bytes))
    assert correlation.full == full


async def test_topics_made_anew_start_over() -> None:
    correlation, old, new = PartitionCorrelation(AnswerRule(0, None)), waiter(), waiter()
    correlation.sending()
    correlation.acknowledged(50, old)
    correlation.answered(answer(40, 50))
    correlation.sending()
    correlation.answered(answer(0, 0))
    correlation.acknowledged(0, new)
    assert new.result().request_offset == 0


async def test_every_interleaving_gives_each_request_its_answer() -> None:
    """Acknowledgements in order, answers in order, the two shuffled into each other; some requests are others'."""
    for seed in range(200):
        chance = random.Random(seed)
        correlation = PartitionCorrelation(AnswerRule(0, None))
        own = sorted(chance.sample(range(40), 20))
        waiters = {offset: waiter() for offset in own}
        unsent, answered = list(own), 0
        sent: list[int] = []
        while unsent or sent or answered < 40:
            # An answer exists only for what is in the topic: what lies before the first request not sent yet.
            written = unsent[0] if unsent else 40
            steps = [0] * bool(unsent) + [1] * bool(sent) + [2] * (answered < written)
            match chance.choice(steps):
                case 0:
                    correlation.sending()
                    sent.append(unsent.pop(0))
                case 1:
                    offset = sent.pop(0)
                    correlation.acknowledged(offset, waiters[offset])
                case 2:
                    correlation.answered(answer(answered, answered))
                    answered += 1
        assert [waiters[offset].result().request_offset for offset in own] == own, seed
        assert correlation.in_flight == 0


async def test_a_forged_answer_completes_nothing() -> None:
    """Whoever could write to the responses topic could answer for the workers, and pass over what waits."""
    tags = AnswerTags("hotswap").of("tiny")
    correlation, waiting, next_one = PartitionCorrelation(AnswerRule(0, tags)), waiter(), waiter()
    correlation.sending()
    correlation.acknowledged(3, waiting)
    correlation.answered(answer(10, 3, b"forged"))
    correlation.answered(answer(11, 2**62, b"forged"))
    assert not waiting.done()
    correlation.sending()
    correlation.acknowledged(4, next_one)
    for offset in (3, 4):
        right = replace(answer(12 + offset, offset, b"right"), tag=tags.tag(0, offset))
        correlation.answered(right)
    assert (waiting.result().value, next_one.result().value) == (b"right", b"right")
    assert correlation.rule.untagged == 2
