"""Times of schedules, and freeze windows."""

from datetime import UTC, datetime, timedelta

import pytest

from hotswap_events.training.policy import FreezeWindow, ScheduleTrigger
from hotswap_stream.domain.triggers.calendar import (
    frozen_until,
    newest_time,
    next_time,
    slot_of,
    times_between,
    wrong_cron,
    wrong_zone,
)
from tests.support.samples.triggers import WEEKLY

MONDAY = datetime(2026, 1, 5, 2, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def test_the_newest_time_that_has_come() -> None:
    long_ago = MONDAY - timedelta(days=100)
    assert newest_time(WEEKLY, long_ago, MONDAY - SECOND) == MONDAY - timedelta(days=7)
    assert newest_time(WEEKLY, long_ago, MONDAY) == MONDAY
    assert newest_time(WEEKLY, long_ago, MONDAY + timedelta(microseconds=1)) == MONDAY
    assert newest_time(WEEKLY, long_ago, MONDAY + timedelta(days=6)) == MONDAY
    assert newest_time(WEEKLY, MONDAY, MONDAY + timedelta(days=6)) is None
    assert newest_time(WEEKLY, MONDAY - SECOND, MONDAY) == MONDAY


def test_summer_time_is_the_zones() -> None:
    """3:00 in Berlin is 2:00 in winter and 1:00 in summer; an hour that is left out or repeated gives one run."""
    assert next_time(WEEKLY, datetime(2026, 7, 1, tzinfo=UTC)) == datetime(2026, 7, 6, 1, tzinfo=UTC)
    nightly = ScheduleTrigger(cron="30 2 * * *", timezone="Europe/Berlin")
    spring = times_between(nightly, datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 3, 29, 12, tzinfo=UTC))
    autumn = times_between(nightly, datetime(2026, 10, 24, 12, tzinfo=UTC), datetime(2026, 10, 25, 12, tzinfo=UTC))
    assert (len(spring), len(autumn)) == (1, 1)


def test_slots_are_in_the_order_of_time() -> None:
    times = times_between(WEEKLY, MONDAY, MONDAY + timedelta(days=400))
    assert len(times) == 57
    assert sorted(map(slot_of, times)) == list(map(slot_of, times))
    assert slot_of(MONDAY) == "2026-01-05T02:00:00Z"


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("* * * * * *", "6 fields"),
        ("every day", "2 fields"),
        ("", "0 fields"),
        ("61 * * * *", "Bad minute"),
        ("0 0 30 2 *", "Bad day-of-month"),
        ("0 0 1 13 *", "Bad month"),
        ("0/0 * * * *", "Bad minute"),
        ("0 0 * * 1#9", "Bad day-of-week"),
        ("a b c d e", "Bad"),
    ],
)
def test_what_is_no_schedule(expression: str, words: str) -> None:
    assert words in (wrong_cron(expression) or "")


@pytest.mark.parametrize("expression", ["* * * * *", "0 3 * * 1", "0 0 29 2 *", "0 0 L * *", "*/5 8-18 * * MON-FRI"])
def test_what_is_one(expression: str) -> None:
    assert wrong_cron(expression) is None


@pytest.mark.parametrize("name", ["Mars/Base", "", "../../etc/passwd", "/etc/localtime", "Europe", "UTC\0", "a" * 300])
def test_what_is_no_zone(name: str) -> None:
    assert "is not known" in (wrong_zone(name) or "")


def test_a_freeze_from_one_moment_to_another() -> None:
    window = FreezeWindow(begins=MONDAY, ends=MONDAY + timedelta(days=2))
    assert frozen_until((window,), MONDAY - SECOND) is None
    assert frozen_until((window,), MONDAY) == window.ends
    assert frozen_until((window,), MONDAY + timedelta(days=2)) is None


def test_a_freeze_of_the_night_goes_over_midnight() -> None:
    weekend = FreezeWindow(from_time="22:00", to_time="06:00", days=("fri", "sat"), timezone="Europe/Berlin")
    friday = datetime(2026, 1, 9, tzinfo=UTC)
    inside = {
        friday + timedelta(hours=20, minutes=59): None,
        friday + timedelta(hours=21): friday + timedelta(days=1, hours=5),
        friday + timedelta(days=1, hours=4): friday + timedelta(days=1, hours=5),
        friday + timedelta(days=1, hours=5): None,
        friday + timedelta(days=1, hours=22): friday + timedelta(days=2, hours=5),
        friday + timedelta(days=2, hours=22): None,
    }
    assert {moment: frozen_until((weekend,), moment) for moment in inside} == inside


def test_of_two_windows_the_later_end_counts() -> None:
    short = FreezeWindow(from_time="01:00", to_time="04:00")
    long = FreezeWindow(begins=MONDAY, ends=MONDAY + timedelta(days=9))
    assert frozen_until((short, long), MONDAY) == long.ends
    assert frozen_until((long, short), MONDAY) == long.ends
