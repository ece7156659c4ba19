"""How long a request would wait, from what was sent and answered when."""

from hotswap_stream.adapters.kafka.inference.pace import SENT_MARKS_MAX, AnswerPace


def busy_pace(*, rate_per_s: int, sent: int, seconds: float) -> AnswerPace:
    """All sent at 0, answered one by one from then on, a tenth of a second at a time."""
    pace = AnswerPace()
    pace.acknowledged(sent - 1, 0.0)
    for tenth in range(1, round(seconds * 10) + 1):
        pace.answered(tenth * rate_per_s // 10 - 1, tenth / 10)
    return pace


def test_nothing_sent_nothing_to_wait_for() -> None:
    pace = AnswerPace()
    assert (pace.lag, pace.wait_s(9.0)) == (0, 0.0)
    pace.answered(5, 1.0)  # somebody else's
    assert (pace.lag, pace.wait_s(9.0)) == (0, 0.0)


def test_without_answers_the_oldest_request_says_how_long() -> None:
    pace = AnswerPace()
    pace.acknowledged(1_000_000, 1.0)
    assert pace.lag == 1, "what lies before the first request is not known to be unanswered"
    assert pace.wait_s(1.0) == 0.0
    pace.acknowledged(1_000_003, 3.0)
    assert pace.wait_s(4.0) == 3.0
    pace.answered(1_000_000, 4.5)
    assert pace.wait_s(5.0) == 2.0


def test_while_answers_are_behind_their_rate_says_how_long() -> None:
    pace = busy_pace(rate_per_s=100, sent=1_000, seconds=1.0)
    assert pace.lag == 900
    assert pace.rate_per_s(1.0) is not None
    assert 8.9 < pace.wait_s(1.0) < 9.2


def test_a_burst_after_an_idle_time_is_no_sign_of_slowness() -> None:
    pace = AnswerPace()
    for second in range(10):  # one a second, each answered at once
        pace.acknowledged(second, float(second))
        pace.answered(second, second + 0.01)
    pace.acknowledged(60, 10.0)
    assert pace.lag == 51
    assert pace.wait_s(10.1) < 0.2


def test_others_requests_before_ours_count_once_answers_show_them() -> None:
    pace = AnswerPace()
    pace.acknowledged(10_000, 0.0)
    for tenth in range(11):
        pace.answered(5_000 + tenth * 100, tenth / 10)
    assert pace.lag == 4_000
    assert 3.9 < pace.wait_s(1.0) < 4.2


def test_a_topic_made_anew_starts_over() -> None:
    pace = busy_pace(rate_per_s=100, sent=1_000, seconds=1.0)
    pace.answered(3, 2.0)
    assert (pace.lag, pace.wait_s(2.0)) == (0, 0.0)
    pace.acknowledged(5, 2.1)
    assert pace.lag == 2


def test_what_is_remembered_has_a_limit_and_forgets_no_age() -> None:
    pace = AnswerPace()
    for number in range(SENT_MARKS_MAX + 100):
        pace.acknowledged(number, float(number))
    assert len(pace._sent) == SENT_MARKS_MAX
    assert pace.wait_s(10_000.0) == 10_000.0
    pace.answered(SENT_MARKS_MAX + 99, 10_000.0)
    assert pace.wait_s(10_000.0) == 0.0
