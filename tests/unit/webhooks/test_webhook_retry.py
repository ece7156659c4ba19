"""When a message is posted again."""

import pytest

from hotswap_stream.application.webhooks.retry import PostOutcome, RetryRule

RULE = RetryRule(seconds_max=60.0)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_2xx_is_delivered(status: int) -> None:
    assert PostOutcome(status=status).delivered
    assert not PostOutcome(status=status).refused


@pytest.mark.parametrize("status", [400, 401, 404, 410, 422, 499])
def test_what_the_receiver_will_never_take_is_refused(status: int) -> None:
    assert PostOutcome(status=status).refused


@pytest.mark.parametrize("status", [None, 199, 301, 307, 408, 429, 500, 502, 503, 504, 599])
def test_everything_else_is_tried_again(status: int | None) -> None:
    outcome = PostOutcome(status=status)
    assert not outcome.delivered
    assert not outcome.refused


def test_a_redirect_says_why_it_does_not_count() -> None:
    assert "redirects are not followed" in str(PostOutcome(status=308))


@pytest.mark.parametrize(
    ("attempts", "age_seconds", "given_up"), [(1, 0, False), (50, 60.0, False), (2, 1e6, False), (3, 60.1, True)]
)
def test_an_event_is_given_up_when_it_is_old_and_was_tried(attempts: int, age_seconds: float, given_up: bool) -> None:
    assert RULE.gives_up(attempts, age_seconds) is given_up


def test_pauses_double_up_to_a_limit_and_half_of_them_is_chance() -> None:
    assert [RULE.pause_seconds(attempts, None, lambda: 1.0) for attempts in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert [RULE.pause_seconds(attempts, None, lambda: 0.0) for attempts in (1, 2, 8)] == [0.5, 1, 30]
    assert RULE.pause_seconds(10**9, None, lambda: 1.0) == 60


def test_the_receiver_may_ask_for_more_time_but_not_for_any() -> None:
    assert RULE.pause_seconds(1, 20.0, lambda: 1.0) == 20
    assert RULE.pause_seconds(7, 20.0, lambda: 1.0) == 60
    assert RULE.pause_seconds(1, 1e9, lambda: 1.0) == 300
    assert RULE.pause_seconds(1, 0.0, lambda: 1.0) == 1
