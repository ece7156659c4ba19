"""The data folder: made once, locked, kept or removed, and never mistaken for another's."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import psutil
import pytest

from hotswap_stream.broker import DataFolderError, DiskFullError
from hotswap_stream.broker.broker_config import NodePorts
from hotswap_stream.broker.data_folder import DataFolder, NodeFolder, kafka_uuid, remove_abandoned


def test_a_kept_folder_remembers_its_cluster_and_ports(tmp_path: Path) -> None:
    first = DataFolder(tmp_path / "kept", 3)
    ports = [NodePorts(node, 20_000 + node, 21_000 + node) for node in (1, 2, 3)]
    assert first.remembered_ports == [NodePorts(1, 0, 0), NodePorts(2, 0, 0), NodePorts(3, 0, 0)]
    first.remember_ports(ports)
    first.close()
    second = DataFolder(tmp_path / "kept", 3)
    assert (second.cluster_id, second.remembered_ports) == (first.cluster_id, ports)
    second.close()


def test_a_node_is_formatted_once(tmp_path: Path) -> None:
    node = NodeFolder(tmp_path)
    node.format(1, "cluster", b"first")
    written = (tmp_path / "data" / "meta.properties").read_text()
    assert "node.id=1\ncluster.id=cluster\ndirectory.id=" in written
    node.format(1, "another", b"second")
    assert (tmp_path / "data" / "meta.properties").read_text() == written
    assert (tmp_path / "data" / "bootstrap.checkpoint").read_bytes() == b"first"


def test_a_format_that_was_cut_off_is_completed(tmp_path: Path) -> None:
    node = NodeFolder(tmp_path)
    node.data_dir.mkdir()
    (node.data_dir / "bootstrap.checkpoint").write_bytes(b"half")
    node.format(1, "cluster", b"whole")
    assert (node.data_dir / "bootstrap.checkpoint").read_bytes() == b"whole"


def test_a_temporary_folder_is_removed(tmp_path: Path) -> None:
    folder = DataFolder(None, 1)
    assert folder.path.is_dir()
    folder.close()
    assert not folder.path.exists()


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "kept", 1)
    with pytest.raises(DataFolderError, match="in use by another running broker"):
        DataFolder(tmp_path / "kept", 1)
    folder.close()
    DataFolder(tmp_path / "kept", 1).close()


def test_another_number_of_nodes_is_refused(tmp_path: Path) -> None:
    DataFolder(tmp_path / "kept", 3).close()
    with pytest.raises(DataFolderError, match="cluster of 3 nodes, not 1; start it with nodes=3"):
        DataFolder(tmp_path / "kept", 1)


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(DataFolderError, match=r"holds other files \(thesis.tex"):
        DataFolder(tmp_path, 1)


def test_a_path_kafka_would_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataFolderError, match="comma"):
        DataFolder(tmp_path / "a,b", 1)


def test_a_damaged_description_is_named(tmp_path: Path) -> None:
    DataFolder(tmp_path / "kept", 1).close()
    (tmp_path / "kept" / "cluster.json").write_text("{")
    with pytest.raises(DataFolderError, match=r"cluster\.json is damaged"):
        DataFolder(tmp_path / "kept", 1)


def test_too_little_free_space_is_named(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "kept", 1)
    with pytest.raises(DiskFullError, match="MiB free; the broker needs 1000000000 MiB"):
        folder.require_free_space(1_000_000_000)
    folder.close()


def test_what_a_killed_owner_and_a_killed_guard_left_is_removed() -> None:
    # An owner without a guard: it takes a folder, starts a process in it, and is killed.
    program = (
        "import os, subprocess, sys\n"
        "from hotswap_stream.broker.data_folder import DataFolder\n"
        "folder = DataFolder(None, 1)\n"
        "folder.nodes[1].path.mkdir()\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], stdout=subprocess.DEVNULL)\n"
        "folder.nodes[1].record_jvm(child.pid)\n"
        "print(folder.path, child.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=False, env=environment
    )
    assert ended.returncode == -9
    path, pid = Path(ended.stdout.split()[0]), int(ended.stdout.split()[1])
    remove_abandoned()
    assert path.exists(), "a young folder may be one whose owner is about to lock it"
    os.utime(path, (0, 0))
    remove_abandoned()
    assert not path.exists()
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_folder_of_a_living_owner_is_left_alone() -> None:
    folder = DataFolder(None, 1)
    os.utime(folder.path, (0, 0))
    remove_abandoned()
    assert folder.path.exists()
    folder.close()


def test_an_old_record_does_not_end_a_process_that_got_the_number_since(tmp_path: Path) -> None:
    record = {"pid": os.getpid(), "created": psutil.Process().create_time() - 1_000}
    (tmp_path / "jvm.json").write_bytes(msgspec.json.encode(record))
    NodeFolder(tmp_path).end_orphan()


def test_ids_are_as_kafka_writes_them() -> None:
    ids = {kafka_uuid() for _ in range(500)}
    assert len(ids) == 500
    assert all(len(text) == 22 and not text.startswith("-") for text in ids)
