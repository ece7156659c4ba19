"""The watch on the broker's disk, the pace of restarts, and the file that tells others how the broker is."""

import os
from pathlib import Path

import pytest

from hotswap_stream.broker.disk import DISK_FREE_BYTES_LOW, DiskWatch, human_bytes
from hotswap_stream.home import broker_announcement
from hotswap_stream.home.broker_condition import (
    CONDITION_BYTES_MAX,
    CONDITION_FILE,
    BrokerCondition,
    ConditionFile,
    read_condition,
)
from hotswap_stream.restart_pace import RestartPace

SERVERS = "127.0.0.1:1"


def test_a_disk_that_was_full_a_moment_ago_is_remembered_and_then_forgotten() -> None:
    found = [0]
    watch = DiskWatch(Path("/data"), needed_bytes=100, read=lambda _folder: found[0])
    watch.look(0.0)
    assert watch.full.startswith("the disk of /data is full (0 bytes free, 100 bytes are needed): make room there")
    found[0] = DISK_FREE_BYTES_LOW
    watch.look(10.0)
    assert watch.was_full.startswith("the disk of /data was full (0 bytes free)")
    watch.look(40.5)
    assert watch.was_full == ""


def test_a_file_system_that_does_not_answer_changes_nothing() -> None:
    def broken(_folder: Path) -> int:
        raise OSError("stale file handle")

    watch = DiskWatch(Path("/data"), needed_bytes=100, read=broken)
    assert watch.look(0.0) == 100
    assert (watch.was_full, watch.warning) == ("", "")


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (3 * 1024**3, "3.0 GiB")]
)
def test_bytes_for_people(count: int, text: str) -> None:
    assert human_bytes(count) == text


def test_pauses_grow_and_end() -> None:
    pace = RestartPace(per_minute_max=4, seconds_first=1.0, seconds_max=3.0)
    assert [pace.next_delay(now) for now in (0.0, 1.0, 2.0, 3.0, 4.0)] == [1.0, 2.0, 3.0, 3.0, None]
    assert pace.next_delay(61.0) == 3.0
    pace.forgive()
    assert pace.next_delay(61.0) == 1.0


def test_the_condition_is_read_by_others_of_the_same_home(tmp_path: Path) -> None:
    broker_announcement.announce(tmp_path, SERVERS)
    file = ConditionFile(tmp_path)
    file.open()
    assert read_condition(tmp_path, SERVERS) is not None
    away = BrokerCondition(state="away", since_s=1.0, because="the disk is full " * 1_000)
    file.tell(away)
    found = read_condition(tmp_path, SERVERS)
    assert found is not None
    assert found.state == "away"
    assert found.because.startswith("the disk is full")
    assert read_condition(tmp_path, "127.0.0.1:2") is None, "another broker's condition"
    file.remove()
    assert read_condition(tmp_path, SERVERS) is None


def test_the_condition_is_told_without_new_room_on_the_disk(tmp_path: Path) -> None:
    """A full disk is what is to be told of: a file written anew would be empty then."""
    file = ConditionFile(tmp_path)
    file.open()
    path = tmp_path / CONDITION_FILE
    before = path.stat()
    file.tell(BrokerCondition(state="away", because="the disk is full"))
    after = path.stat()
    assert (after.st_ino, after.st_size) == (before.st_ino, before.st_size)
    assert after.st_size == CONDITION_BYTES_MAX


def test_a_home_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    file = ConditionFile(tmp_path / "home")
    file.open()
    file.tell(BrokerCondition(state="away"))
    file.remove()


def test_a_damaged_condition_is_none(tmp_path: Path) -> None:
    broker_announcement.announce(tmp_path, SERVERS)
    (tmp_path / CONDITION_FILE).write_bytes(os.urandom(100))
    assert read_condition(tmp_path, SERVERS) is None
