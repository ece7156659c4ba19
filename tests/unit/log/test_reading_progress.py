"""How far several topics were read, by the age of their records."""

from datetime import UTC, datetime, timedelta

from hotswap_stream.agents.progress.reading import HELD, ReadingProgress

BEGIN = datetime(2026, 1, 31, 12, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def handle(progress: ReadingProgress, at: float, now: float) -> None:
    with progress.handling(later(at), later(now)):
        pass


def test_a_reader_that_has_just_begun_knows_nothing() -> None:
    progress = ReadingProgress(BEGIN)
    assert progress.read_to(BEGIN + HELD - timedelta(microseconds=1)) is None
    assert progress.read_to(BEGIN + HELD) == BEGIN + HELD


def test_the_oldest_of_the_last_seconds_says_how_far() -> None:
    progress = ReadingProgress(BEGIN)
    handle(progress, at=40, now=100)
    handle(progress, at=100, now=100.5)
    assert progress.read_to(later(101)) == later(41)
    handle(progress, at=104, now=104.5)
    assert progress.read_to(later(104.9)) == later(44.9)
    assert progress.read_to(later(105)) == later(105)


def test_an_age_that_was_held_gives_way_to_the_next() -> None:
    progress = ReadingProgress(BEGIN)
    handle(progress, at=40, now=100)
    handle(progress, at=105, now=106)
    assert progress.read_to(later(107)) == later(106)


def test_what_is_in_hand_is_not_read() -> None:
    progress = ReadingProgress(BEGIN)
    with progress.handling(later(99), later(100)):
        assert progress.read_to(later(160)) == later(99)
        with progress.handling(later(98), later(161)):
            assert progress.read_to(later(162)) == later(98)
    assert progress.read_to(later(170)) == later(170)


def test_records_of_the_future_change_nothing() -> None:
    progress = ReadingProgress(BEGIN)
    with progress.handling(later(500), later(100)):
        assert progress.read_to(later(100)) == later(100)
