"""What a loop's signs of life say of it."""

import pytest

from hotswap_stream.workers.inference.health.signs import RESTARTS_MAX, LifeSigns


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be set."""
    time_s = [1_000.0]
    monkeypatch.setattr("hotswap_stream.workers.inference.health.signs.time.monotonic", lambda: time_s[0])
    return time_s


def test_a_loop_that_turns_and_has_nothing_to_do_is_well(now: list[float]) -> None:
    signs = LifeSigns()
    assert signs.trouble() is None
    for _second in range(1_000):
        now[0] += 1
        signs.turn()
        signs.look({0: 5}, {0: 5})
    assert signs.trouble() is None


def test_a_partition_that_stands_while_requests_wait(now: list[float]) -> None:
    """Offsets stood still for ever, and `healthy` said OK."""
    signs = LifeSigns()
    for _second in range(62):
        signs.turn()
        signs.look({0: 5, 1: 5}, {0: 6, 1: 5})
        now[0] += 1
    assert signs.stalled() == (0,)
    assert "requests wait in partitions 0" in (signs.trouble() or "")
    signs.look({0: 6, 1: 5}, {0: 6, 1: 5})
    assert signs.trouble() is None


def test_a_consumer_that_brings_none_of_what_waits(now: list[float]) -> None:
    """Each life has the whole time, or a partition that stood for long would end every new one at once."""
    signs = LifeSigns()
    began_s = now[0]
    for _second in range(61):
        signs.look({0: 5, 1: 5, 2: 5}, {0: 6, 1: 5, 2: 9}, blocked=(2,))
        assert signs.silent(began_s, blocked=(2,)) == ()
        now[0] += 1
    assert signs.silent(began_s, blocked=(2,)) == (0,)
    assert signs.silent(now[0] - 1, blocked=(2,)) == ()


def test_a_loop_that_does_not_come_round(now: list[float]) -> None:
    signs = LifeSigns()
    signs.turn()
    now[0] += 61
    assert "has not come round" in (signs.trouble() or "")
    signs.forgive()
    assert signs.trouble() is None


def test_a_first_version_may_load_for_long(now: list[float]) -> None:
    signs = LifeSigns()
    signs.turn()
    signs.look({0: 5}, {0: 6})
    signs.rest()
    now[0] += 1_000
    assert signs.trouble() is None


def test_a_loop_that_ends_again_and_again(now: list[float]) -> None:
    """It began anew over 50 times, and `healthy` said OK."""
    signs = LifeSigns()
    for _life in range(RESTARTS_MAX):
        signs.ended(ZeroDivisionError("x"))
        now[0] += 1
    signs.turn()
    assert signs.trouble() is None
    signs.ended(ZeroDivisionError("x"))
    assert "ZeroDivisionError: x" in (signs.trouble() or "")
    now[0] += 61
    signs.turn()
    assert signs.trouble() is None
