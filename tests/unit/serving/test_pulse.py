"""The sign of life of a process: renewed, looked at, taken away."""

import os
import re
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from hotswap_stream.home import pulse
from hotswap_stream.home.pulse import AGE_SECONDS_MAX, NotHealthyError, Pulse, ask_to_end, check, has_ended


def test_a_sign_that_is_renewed_is_fresh(tmp_path: Path) -> None:
    sign = Pulse(tmp_path / "home", "worker", "host-1")
    sign.beat()
    assert check(tmp_path / "home", "worker", "host-1").age_s <= AGE_SECONDS_MAX


def set_back(file: Path, seconds: float, boot: str | None = None) -> None:
    """As if it had been written so long before."""
    [_whole, booted, at] = re.findall(r"(clock: )(\S+) (\S+)", file.read_text())[0]
    file.write_text(file.read_text().replace(f"{booted} {at}", f"{boot or booted} {time.monotonic() - seconds:.3f}"))


def test_one_that_is_not_says_since_when(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Pulse(tmp_path, "agents", "1").beat()
    # Time goes on, instead of the sign being set back: a machine may have been started less than an hour ago.
    later_s = time.monotonic() + 3_600
    monkeypatch.setattr(time, "monotonic", lambda: later_s)
    with pytest.raises(NotHealthyError, match=r"agents '1' last could do its work 3600 s ago; at most 20 s"):
        check(tmp_path, "agents", "1")
    assert check(tmp_path, "agents", "1", age_seconds_max=4_000).age_s > 3_599


@pytest.mark.parametrize("seconds", [-3_600.0, -20.0, 20.0, 3_600.0])
def test_a_clock_that_is_set_changes_nothing(tmp_path: Path, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose clock was set by a minute took its processes for dead."""
    now_s = time.time()
    Pulse(tmp_path, "worker", "w").beat()
    monkeypatch.setattr(time, "time", lambda: now_s + seconds)
    assert check(tmp_path, "worker", "w").age_s <= AGE_SECONDS_MAX


def test_one_of_another_machine_or_from_before_a_restart_of_it_is_no_sign(tmp_path: Path) -> None:
    Pulse(tmp_path, "worker", "w").beat()
    [file] = (tmp_path / pulse.FOLDER).iterdir()
    set_back(file, 0.0, boot="another")
    with pytest.raises(NotHealthyError, match="before this machine was started, or on another"):
        check(tmp_path, "worker", "w")


def test_where_no_such_clock_is_the_files_time_has_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "_boot", lambda: None)
    sign = Pulse(tmp_path, "agents", "1")
    sign.beat()
    [file] = (tmp_path / pulse.FOLDER).iterdir()
    for ahead_s in (3.0, 3_600.0):
        os.utime(file, (time.time() + ahead_s, time.time() + ahead_s))
        if ahead_s < AGE_SECONDS_MAX:
            assert check(tmp_path, "agents", "1").age_s == 0.0
    with pytest.raises(NotHealthyError, match=r"a sign that is 3\d\d\d s ahead of the clock"):
        check(tmp_path, "agents", "1")


def test_one_that_was_taken_away_is_not_there_and_others_are_named(tmp_path: Path) -> None:
    for name in ("a-1", "b-1"):
        Pulse(tmp_path, "worker", name).beat()
    gone = Pulse(tmp_path, "worker", "a-1")
    gone.stop()
    gone.stop()
    with pytest.raises(NotHealthyError, match=r"no worker 'a-1' is at work with .* there is b-1"):
        check(tmp_path, "worker", "a-1")
    with pytest.raises(NotHealthyError, match="no agents '1' is at work"):
        check(tmp_path, "agents", "1")


def test_it_is_not_renewed_more_than_once_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 5.0
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    sign = Pulse(tmp_path, "worker", "w")
    sign.beat()
    [file] = (tmp_path / pulse.FOLDER).iterdir()
    file.unlink()
    now_s += 0.5
    sign.beat()
    assert not file.exists()
    now_s += 0.6
    sign.beat()
    assert file.exists()


def test_names_stay_inside_the_folder(tmp_path: Path) -> None:
    Pulse(tmp_path, "worker", "../../etc/" + "x" * 300).beat()
    [file] = (tmp_path / pulse.FOLDER).iterdir()
    assert file.name.startswith("worker-.._.._etc_x")
    check(tmp_path, "worker", "../../etc/" + "x" * 300)


def test_a_folder_that_cannot_be_written_to_is_told_of_once_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / pulse.FOLDER).write_text("a file")
    monkeypatch.setattr(pulse, "BEAT_SECONDS", 0.0)
    sign = Pulse(tmp_path, "worker", "w")
    with capture_logs() as said:
        for _ in range(3):
            sign.beat()
    assert [entry["event"] for entry in said] == ["pulse_not_written"]
    with pytest.raises(NotHealthyError):
        check(tmp_path, "worker", "w")


def test_one_in_trouble_says_why_at_once_and_is_well_again_with_the_next_beat(tmp_path: Path) -> None:
    sign = Pulse(tmp_path, "worker", "w")
    sign.beat()
    sign.trouble("requests wait\nin partition 1")
    with pytest.raises(NotHealthyError, match="worker 'w' cannot do its work: requests wait in partition 1"):
        check(tmp_path, "worker", "w")
    sign.beat()
    assert check(tmp_path, "worker", "w").advice is None


def test_what_somebody_should_mend_is_told_beside(tmp_path: Path) -> None:
    sign = Pulse(tmp_path, "worker", "w")
    sign.advise("give it 4 partitions, too")
    sign.beat()
    assert check(tmp_path, "worker", "w").advice == "give it 4 partitions, too"
    sign.advise(None)
    sign.beat()
    assert check(tmp_path, "worker", "w").advice is None


def test_a_process_hears_of_the_wish_that_it_ends(tmp_path: Path) -> None:
    with pytest.raises(NotHealthyError, match="no worker 'w1'"):
        ask_to_end(tmp_path, "worker", "w1")
    pulse = Pulse(tmp_path, "worker", "w1")
    pulse.beat()
    ask_to_end(tmp_path, "worker", "w1")
    assert pulse.asked_to_end
    assert not has_ended(tmp_path, "worker", "w1")
    pulse.stop()
    assert has_ended(tmp_path, "worker", "w1")
    assert list((tmp_path / "pulse").iterdir()) == []


def test_a_wish_from_before_is_not_for_the_next_process(tmp_path: Path) -> None:
    Pulse(tmp_path, "worker", "w1").beat()
    ask_to_end(tmp_path, "worker", "w1")
    time.sleep(0.02)
    assert not Pulse(tmp_path, "worker", "w1").asked_to_end
