"""Where the cluster's data lies: a folder the caller keeps, or a temporary one that is gone when the broker is."""

import contextlib
import os
import shutil
import tempfile
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from pathlib import Path

import msgspec
import psutil
from filelock import FileLock, Timeout
from msgspec import Struct

from hotswap_stream.broker.broker_config import NodePorts
from hotswap_stream.broker.errors import DataFolderError, DiskFullError
from hotswap_stream.broker.jars.cache import write_atomically
from hotswap_stream.broker.java.properties import render_properties

_TEMPORARY_PREFIX = "hotswap-kafka-"
_OWNER_LOCK = ".owner.lock"
_ABANDONED_AFTER_S = 60


class _Cluster(Struct, frozen=True):
    """`cluster.json`: `ports` is node id → [broker port, controller port], as last used."""

    cluster_id: str
    ports: dict[int, tuple[int, int]]


class _JvmRecord(Struct, frozen=True):
    pid: int
    created: float


class NodeFolder:
    """One node's part: `data_dir` is what Kafka calls its log dir, `log_dir` what it writes for people."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data_dir = path / "data"
        self.log_dir = path / "log"

    def format(self, node_id: int, cluster_id: str, bootstrap_checkpoint: bytes) -> None:
        """Write what `kafka-storage format` writes, unless it is there.

        `meta.properties` is written last: where it is, all is there.
        """
        self.log_dir.mkdir(parents=True, exist_ok=True)
        meta = self.data_dir / "meta.properties"
        if meta.exists():
            return
        values = {"version": 1, "node.id": node_id, "cluster.id": cluster_id, "directory.id": kafka_uuid()}
        write_atomically(self.data_dir / "bootstrap.checkpoint", bootstrap_checkpoint)
        write_atomically(meta, render_properties(values).encode("ascii"))

    def record_jvm(self, pid: int) -> None:
        """Remember the JVM, so that the folder's next owner can end it if it outlives us and our guard."""
        with contextlib.suppress(psutil.Error):
            record = _JvmRecord(pid=pid, created=psutil.Process(pid).create_time())
            write_atomically(self.path / "jvm.json", msgspec.json.encode(record))

    def end_orphan(self) -> None:
        """Kill the JVM that a former owner left. The caller holds the folder's lock, so the JVM has no owner."""
        with contextlib.suppress(OSError, msgspec.DecodeError, psutil.Error):
            record = msgspec.json.decode((self.path / "jvm.json").read_bytes(), type=_JvmRecord)
            process = psutil.Process(record.pid)
            if abs(process.create_time() - record.created) < 1.0:
                process.kill()
                process.wait(10)


class DataFolder:
    """The folder of a whole cluster, locked by this process while it is open. Blocking."""

    def __init__(self, data_dir: Path | None, node_count: int) -> None:
        """Lock the folder.

        Raise DataFolderError when it is in use, is something else, or has another number of nodes.
        """
        self.temporary = data_dir is None
        if data_dir is None:
            self.path = Path(tempfile.mkdtemp(prefix=_TEMPORARY_PREFIX))
        else:
            self.path = data_dir.absolute()
            _require_usable(self.path)
            self.path.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self.path / _OWNER_LOCK, thread_local=False)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise DataFolderError(
                f"{self.path} is in use by another running broker; stop that one, or give another"
            ) from error
        try:
            self._cluster = self._read_or_create(node_count)
            self.nodes = {node_id: NodeFolder(self.path / f"node-{node_id}") for node_id in self._cluster.ports}
            for node in self.nodes.values():
                node.end_orphan()
        except BaseException:
            self._lock.release()
            raise

    @property
    def cluster_id(self) -> str:
        """Return the id of the cluster, as Kafka writes ids."""
        return self._cluster.cluster_id

    @property
    def remembered_ports(self) -> list[NodePorts]:
        """Return the ports of the last start; 0 where there was none."""
        return [NodePorts(node_id, *ports) for node_id, ports in sorted(self._cluster.ports.items())]

    def remember_ports(self, ports: Sequence[NodePorts]) -> None:
        """Keep the ports, so that clients of a kept cluster find it there again."""
        numbers = {node.node_id: (node.broker_port, node.controller_port) for node in ports}
        self._write(_Cluster(cluster_id=self.cluster_id, ports=numbers))

    def require_free_space(self, free_mib_min: int) -> None:
        """Raise DiskFullError when the folder's disk has less than `free_mib_min` MiB left."""
        free_mib = shutil.disk_usage(self.path).free // 2**20
        if free_mib < free_mib_min:
            raise DiskFullError(
                f"the disk of {self.path} has {free_mib} MiB free; the broker needs {free_mib_min} MiB to start"
            )

    def close(self) -> None:
        """Unlock the folder; remove it when it is temporary. The brokers have ended."""
        if self.temporary:
            shutil.rmtree(self.path, ignore_errors=True)
        self._lock.release()

    def _read_or_create(self, node_count: int) -> _Cluster:
        path = self.path / "cluster.json"
        if not path.exists():
            # In its final form from the start: a crash from here on leaves a folder that the next start completes.
            self._write(_Cluster(cluster_id=kafka_uuid(), ports=dict.fromkeys(range(1, node_count + 1), (0, 0))))
        try:
            cluster = msgspec.json.decode(path.read_bytes(), type=_Cluster)
        except msgspec.DecodeError as error:
            raise DataFolderError(f"{path} is damaged ({error}); remove the folder or restore the file") from error
        if len(cluster.ports) != node_count:
            raise DataFolderError(
                f"{self.path} holds a cluster of {len(cluster.ports)} nodes, not {node_count}; "
                f"start it with nodes={len(cluster.ports)}, or give another folder"
            )
        return cluster

    def _write(self, cluster: _Cluster) -> None:
        self._cluster = cluster
        write_atomically(self.path / "cluster.json", msgspec.json.encode(cluster))


def remove_abandoned() -> None:
    """Remove temporary folders, and end brokers, whose owner and whose guard were both killed."""
    now = time.time()
    for path in Path(tempfile.gettempdir()).glob(f"{_TEMPORARY_PREFIX}*"):
        with contextlib.suppress(OSError, Timeout):
            found = path.stat()
            if found.st_uid != os.getuid() or now - found.st_mtime < _ABANDONED_AFTER_S:
                continue
            with FileLock(path / _OWNER_LOCK, timeout=0):
                for node in path.glob("node-*"):
                    NodeFolder(node).end_orphan()
                shutil.rmtree(path, ignore_errors=True)


def kafka_uuid() -> str:
    """Return a random id as Kafka writes them: 22 characters, the first of them no dash."""
    while (text := urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")).startswith("-"):
        pass
    return text


def _require_usable(path: Path) -> None:
    if "," in str(path):
        raise DataFolderError(f"{path} has a comma in its name; Kafka takes commas for a list of folders")
    if path.exists() and not path.is_dir():
        raise DataFolderError(f"{path} is not a folder")
    if path.is_dir() and not (path / "cluster.json").exists():
        others = {entry.name for entry in path.iterdir()} - {_OWNER_LOCK}
        if others:
            raise DataFolderError(f"{path} holds other files ({min(others)}, …); give an empty or a new folder")
