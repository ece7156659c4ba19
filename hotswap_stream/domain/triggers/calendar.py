"""Times of schedules and freeze windows. Pure: the time comes in; zones are constant tables."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from hotswap_events.training.policy import FreezeWindow, ScheduleTrigger, Weekday

CRON_FIELDS = 5
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
TIMES_MAX = 10_000
"""Times of a schedule, listed at once."""

_SOME_DAY = datetime(2024, 1, 1, tzinfo=UTC)


def wrong_zone(name: str) -> str | None:
    """Return why this names no time zone, or None."""
    try:
        ZoneInfo(name)
    except (OSError, ValueError):  # ZoneInfoNotFoundError is a KeyError
        pass
    except KeyError:
        pass
    else:
        return None
    return f"time zone {name[:100]!r} is not known; an IANA name is needed, as UTC or Europe/Berlin"


def wrong_cron(expression: str) -> str | None:
    """Return why the expression is none, or never comes, or None."""
    fields = expression.split()
    if len(fields) != CRON_FIELDS:
        return (
            f"cron {expression[:100]!r} has {len(fields)} fields; five are needed: minute, hour, day of the month, "
            "month, day of the week"
        )
    try:
        following = CronSim(expression, _SOME_DAY)
    except (CronSimError, ValueError, AssertionError) as error:
        return f"cron {expression[:100]!r} is not valid: {error}; an example is '0 3 * * 1', Mondays at 3:00"
    if next(following, None) is None:  # pragma: no cover  (this release of the library refuses all such at once)
        return f"cron {expression[:100]!r} never comes: there is no such day in 50 years"
    return None


def newest_time(schedule: ScheduleTrigger, after: datetime, now: datetime) -> datetime | None:
    """Return the newest time of the schedule that is later than `after` and has come, in UTC; None without one."""
    zone = ZoneInfo(schedule.timezone)
    # The library goes back from a moment, which it leaves out itself.
    just_after = (now + timedelta(seconds=1)).replace(microsecond=0).astimezone(zone)
    found = next(CronSim(schedule.cron, just_after, reverse=True), None)
    if found is None:  # pragma: no cover  (what came once comes within 50 years, which it looks through)
        return None
    at = found.astimezone(UTC)
    return at if after < at <= now else None


def times_between(schedule: ScheduleTrigger, after: datetime, until: datetime) -> list[datetime]:
    """Return the times of the schedule in this part of time, oldest first, in UTC; at most 10,000."""
    coming = CronSim(schedule.cron, after.astimezone(ZoneInfo(schedule.timezone)))
    times = []
    for found in islice(coming, TIMES_MAX):
        at = found.astimezone(UTC)
        if at > until:
            break
        if at > after:
            times.append(at)
    return times


def next_time(schedule: ScheduleTrigger, after: datetime) -> datetime | None:
    """Return the schedule's first time after this one, in UTC."""
    found = next(CronSim(schedule.cron, after.astimezone(ZoneInfo(schedule.timezone))), None)
    return None if found is None else found.astimezone(UTC)


def slot_of(at: datetime) -> str:
    """Return the name of a time of a schedule; in the order of time."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def later(moment: datetime, seconds: float) -> datetime:
    """Return the moment this number of seconds later."""
    return moment + timedelta(seconds=seconds)


def shown(moment: datetime) -> str:
    """Return the moment for people."""
    return moment.isoformat(timespec="seconds")


def frozen_until(windows: tuple[FreezeWindow, ...], now: datetime) -> datetime | None:
    """Return the end of the window that this moment is in, the latest of several; None outside of all."""
    ends = [end for window in windows if (end := _end_of(window, now)) is not None]
    return max(ends, default=None)


def _end_of(window: FreezeWindow, now: datetime) -> datetime | None:
    if window.begins is not None and window.ends is not None:
        return window.ends if window.begins <= now < window.ends else None
    if window.from_time is None or window.to_time is None:
        return None
    zone = ZoneInfo(window.timezone)
    today = now.astimezone(zone).date()
    for day in (today, today - timedelta(days=1)):
        if window.days and WEEKDAYS[day.weekday()] not in window.days:
            continue
        begins = _moment(day, window.from_time, zone)
        until = day if window.to_time > window.from_time else day + timedelta(days=1)
        ends = _moment(until, window.to_time, zone)
        if begins <= now < ends:
            return ends
    return None


def _moment(day: date, time_of_day: str, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time.fromisoformat(time_of_day), zone).astimezone(UTC)
