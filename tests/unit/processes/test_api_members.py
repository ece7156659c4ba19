"""What API processes behind one port tell each other, and how they share it."""

import socket
from pathlib import Path

import pytest

from hotswap_events.topics import Topics
from hotswap_stream.adapters.kafka.inference.gateway import PARTITIONS_USED_MAX, KafkaInferenceGateway
from hotswap_stream.cli.processes.api_processes import PROCESSES_MAX, check_processes
from hotswap_stream.errors import ConfigurationError
from hotswap_stream.home.api_members import ApiMember, MemberCounts, asked, check_folder
from hotswap_stream.home.shared_port import can_be_shared, http_url, listening_socket, reserved_port

SERIES = ("digits", "v1", "v2", "unknown-version")
linux = pytest.mark.skipif(not can_be_shared(), reason="only Linux spreads connections over processes")


def counts(cpu_s: float, wrong_keys: int, clients: int = 0) -> MemberCounts:
    return MemberCounts(
        cpu_s=cpu_s,
        memory_bytes=100,
        event_stream_clients=clients,
        not_permitted={"unknown": wrong_keys},
        refused_switches=[(SERIES, wrong_keys)],
    )


def test_what_all_say_together_is_the_sum(tmp_path: Path) -> None:
    first, second = ApiMember(tmp_path, 1, 3), ApiMember(tmp_path, 2, 3)
    assert first.together(counts(1.0, 1)) == counts(1.0, 1)
    second.leave(MemberCounts(ready=False, cpu_s=2.0, memory_bytes=50, event_stream_clients=4))
    together = first.together(counts(1.0, 1, clients=1))
    assert (together.cpu_s, together.memory_bytes, together.event_stream_clients) == (3.0, 150, 5)
    assert (together.ready, together.follows_log) == (False, True)
    assert (together.not_permitted, together.refused_switches) == ({"unknown": 1}, [(SERIES, 1)])


@pytest.mark.parametrize("asking", [1, 2])
def test_counts_of_a_process_that_ended_stay_and_its_memory_goes(tmp_path: Path, asking: int) -> None:
    ApiMember(tmp_path, 1, 2).leave(counts(10.0, 3, clients=7))
    again, other = ApiMember(tmp_path, 1, 2), ApiMember(tmp_path, 2, 2)
    again.leave(counts(1.0, 2))
    other.leave(counts(5.0, 0))
    together = again.together(counts(1.0, 2)) if asking == 1 else other.together(counts(5.0, 0))
    assert together.cpu_s == 16.0
    assert (together.not_permitted, together.refused_switches) == ({"unknown": 5}, [(SERIES, 5)])
    assert (together.memory_bytes, together.event_stream_clients) == (200, 0)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"[" * 100_000, b'{"cpu_s": "x"}', b'{"not_permitted": [1]}'])
def test_a_file_of_any_bytes_counts_for_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "2.json").write_bytes(content)
    assert ApiMember(tmp_path, 1, 2).together(counts(1.0, 1)) == counts(1.0, 1)
    assert ApiMember(tmp_path, 2, 2).together(counts(1.0, 1)) == counts(1.0, 1)


def test_a_folder_that_is_gone_stops_nobody(tmp_path: Path) -> None:
    member = ApiMember(tmp_path / "gone", 1, 2)
    member.leave(counts(1.0, 1))
    assert member.together(counts(1.0, 1)) == counts(1.0, 1)


async def test_who_is_not_there_answers_nothing(tmp_path: Path) -> None:
    assert await asked(tmp_path, 1, "/readyz") is None


@linux
def test_a_reserved_port_is_its_processes_alone() -> None:
    with reserved_port("127.0.0.1", 0) as port:
        with pytest.raises(ConfigurationError, match="cannot listen"), reserved_port("127.0.0.1", port):
            pass
        with pytest.raises(ConfigurationError, match="cannot listen"):
            listening_socket("127.0.0.1", port)
        listeners = [listening_socket("127.0.0.1", port, shared=True) for _ in range(2)]
        try:
            with pytest.raises(ConfigurationError, match="cannot listen"), reserved_port("127.0.0.1", port):
                pass
            accepted = 0
            for _ in range(20):
                with socket.create_connection(("127.0.0.1", port)):
                    accepted += sum(_accepts(listener) for listener in listeners)
            assert accepted == 20  # none came to the socket that keeps the port
        finally:
            for listener in listeners:
                listener.close()
    with listening_socket("127.0.0.1", port) as alone:  # fading connections do not keep the port
        assert alone.getsockname()[1] == port
    with reserved_port("127.0.0.1", port) as again:
        assert again == port


def _accepts(listener: socket.socket) -> bool:
    try:
        connection, _ = listener.accept()
    except BlockingIOError:
        return False
    connection.close()
    return True


def test_a_url_of_an_ipv6_address_is_one() -> None:
    assert http_url("::1", 8_000, "https") == "https://[::1]:8000"


@pytest.mark.parametrize("processes", [-1, 0, PROCESSES_MAX + 1])
def test_a_number_that_cannot_be_is_said(processes: int) -> None:
    with pytest.raises(ConfigurationError, match=f"HOTSWAP_API_PROCESSES is {processes}"):
        check_processes(processes)


def test_elsewhere_than_on_linux_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hotswap_stream.home.shared_port.sys.platform", "darwin")
    check_processes(1)
    with pytest.raises(ConfigurationError, match="only Linux"):
        check_processes(2)


def chosen(share: tuple[int, int] | None, count: int) -> list[int]:
    return KafkaInferenceGateway({}, Topics("unit"), share=share)._choose("digits", count)


@pytest.mark.parametrize(("of", "count"), [(2, 4), (2, 8), (3, 8), (4, 4), (5, 64)])
def test_no_two_of_them_use_the_same_partition(of: int, count: int) -> None:
    parts = [chosen((number, of), count) for number in range(1, of + 1)]
    used = [partition for part in parts for partition in part]
    assert len(used) == len(set(used))
    assert set(used) <= set(range(count))
    assert all(0 < len(part) <= PARTITIONS_USED_MAX for part in parts)


@pytest.mark.parametrize("share", [None, (1, 1), (2, 3)])
def test_where_there_are_too_few_partitions_all_are_used(share: tuple[int, int] | None) -> None:
    assert chosen(share, 2) == [0, 1]


def test_a_folder_whose_name_is_too_long_for_sockets_is_refused(tmp_path: Path) -> None:
    """Each process would end with an OSError, and be started again and again."""
    check_folder(Path("/tmp/hotswap-api-12345678"), PROCESSES_MAX)
    with pytest.raises(ConfigurationError, match="at most 107: name a folder by a shorter path in TMPDIR"):
        check_folder(tmp_path / ("x" * 107), 2)
