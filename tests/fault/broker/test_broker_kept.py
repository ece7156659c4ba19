"""The embedded broker ends under `up`: it is started again on the same port and data, and meanwhile that is said."""

import json
from pathlib import Path

import httpx
import pytest
from confluent_kafka import Consumer, TopicPartition

from hotswap_stream.home import broker_announcement
from tests.support.processes.up import MODEL, UpProcess, loaded, running_up
from tests.support.small_disk import CannotMountError, SmallDisk, small_disk

LOAD_SECONDS = 15
LOAD_SECONDS_MAX = 110.0
ANSWERS_MIN = 100


@pytest.mark.timeout(300)
def test_a_killed_broker_comes_back_and_every_request_is_answered(tmp_path: Path, unused_tcp_port: int) -> None:
    """Killed with -9 under 100 requests/s, java stayed a defunct child, and nothing was answered any more."""
    with running_up(tmp_path / "home", unused_tcp_port, tmp_path / "up.log") as up:
        up.serve_model(tmp_path)
        rate = ("--rate", "100", "--seconds", str(LOAD_SECONDS), "--in-flight-max", str(100 * LOAD_SECONDS))
        load = up.start_command("loadtest", MODEL, *rate, "--timeout", "90", "--json")
        first = up.broker()
        address = next(each.laddr for each in first.net_connections() if each.status == "LISTEN")
        announced = broker_announcement.find(tmp_path / "home")
        assert announced is not None
        _wait_for_answers(up, announced.bootstrap_servers)
        first.kill()
        up.wait(lambda: "broker: serves again" in up.output, "the broker's return")
        report = loaded(load, LOAD_SECONDS_MAX)
        assert report["sent"] > 100, "a busy machine sends fewer than it was asked for"
        assert not report["errors"], f"{json.dumps(report)}\n{up.output}"
        assert report["succeeded"] == report["sent"], json.dumps(report)
        second = up.broker()
        assert second.pid != first.pid
        assert address in {each.laddr for each in second.net_connections() if each.status == "LISTEN"}
        assert "was killed by signal 9" in up.output
        up.wait(lambda: up.ready().status_code == 200, "ready")
        assert up.switch().status_code == 200


def _wait_for_answers(up: UpProcess, address: str) -> None:
    """Until the load is under way, however long a busy machine takes to start it."""
    consumer = Consumer({"bootstrap.servers": address, "group.id": "test", "enable.auto.commit": False})
    responses = TopicPartition(f"hotswap.responses.{MODEL}", 0)
    try:
        up.wait(lambda: consumer.get_watermark_offsets(responses, timeout=10.0)[1] > ANSWERS_MIN, "answers to the load")
    finally:
        consumer.close()


@pytest.mark.timeout(300)
def test_a_full_disk_is_said_and_the_broker_comes_back_with_the_room(tmp_path: Path, unused_tcp_port: int) -> None:
    """Halted by a full disk, the broker stayed away for ever, also when there was room again, and `up` said nothing."""
    try:
        with small_disk(tmp_path / "disk", mebibytes=500) as disk:
            _fill_and_free(disk, tmp_path, unused_tcp_port)
    except CannotMountError as error:
        pytest.skip(f"no small disk here ({error}); test_broker_keeper.py makes the broker's writes fail without one")


def _fill_and_free(disk: SmallDisk, folder: Path, port: int) -> None:
    home = disk.folder / "home"
    with running_up(home, port, folder / "up.log") as up:
        up.serve_model(folder)
        before = up.infer().json()
        # Told of before it is full, while everything still works.
        up.wait(lambda: "has only" in up.output and "a full disk ends the broker" in up.output, "the warning")
        up.wait(
            lambda: "has only" in httpx.get(f"{up.url}/api/status", timeout=60.0).json()["warnings"][0],
            "the same over HTTP",
        )
        disk.fill()
        # Whatever is written next finds no room; a request is as good as any.
        up.wait(lambda: up.infer().status_code == 503, "a request that is refused")
        up.wait(lambda: "is full" in up.output, "the reason")
        for answer in (up.infer(), up.switch(), up.ready()):
            assert answer.status_code == 503, answer.text
            assert int(answer.headers["retry-after"]) >= 1
            assert f"the disk of {home / 'kafka'} is full" in answer.text
            assert "make room" in answer.text
        disk.free()
        up.wait(lambda: "broker: serves again" in up.output, "the broker's return")
        up.wait(lambda: up.infer().status_code == 200, "an answer")
        after = up.infer().json()["outputs"]
        # The requests that were refused may be in the same batch: another size may end in another last bit.
        assert [output["data"] for output in after] == [
            pytest.approx(output["data"], rel=1e-5) for output in before["outputs"]
        ]
        up.wait(lambda: up.ready().status_code == 200, "ready")
