"""The features a new cluster starts with, as Kafka's own StorageTool writes them; once for each cache."""

import hashlib
import subprocess
import tempfile
from pathlib import Path

from hotswap_stream.broker.broker_config import NodePorts, broker_properties
from hotswap_stream.broker.data_folder import kafka_uuid
from hotswap_stream.broker.errors import BrokerStartError
from hotswap_stream.broker.guard import ProcessGuard
from hotswap_stream.broker.jars.cache import write_atomically
from hotswap_stream.broker.jars.lock import KAFKA_RELEASE
from hotswap_stream.broker.java.jvm import STORAGE_TOOL_MAIN, JvmPlan
from hotswap_stream.broker.java.properties import render_properties
from hotswap_stream.broker.java.runtime import child_environment
from hotswap_stream.broker.progress import BrokerProgress, ProgressCallback

_TIMEOUT_S = 60
_PREFIX = f"bootstrap-{KAFKA_RELEASE}-"


def bootstrap_checkpoint(cache_dir: Path, plan: JvmPlan, report: ProgressCallback) -> bytes:
    """Return the content of a new node's `bootstrap.checkpoint`: feature levels, alike for all nodes and clusters.

    Starting a JVM for each format would take as long as starting the broker. The digest in the file's name tells
    whether the kept copy is whole. Blocking.

    Raises:
        BrokerStartError: The tool failed.
    """
    for path in cache_dir.glob(f"{_PREFIX}*.checkpoint"):
        content = path.read_bytes()
        if path.name == _file_name(content):
            return content
        path.unlink(missing_ok=True)
    report(BrokerProgress("format", "Preparing the storage format (once)"))
    content = _run_storage_tool(plan)
    write_atomically(cache_dir / _file_name(content), content)
    return content


def _file_name(content: bytes) -> str:
    return f"{_PREFIX}{hashlib.sha256(content).hexdigest()[:32]}.checkpoint"


def _run_storage_tool(plan: JvmPlan) -> bytes:
    with tempfile.TemporaryDirectory(prefix="hotswap-format-") as name:
        folder = Path(name)
        data = folder / "data"
        node = NodePorts(node_id=1, broker_port=9092, controller_port=9093)  # written down, never bound
        properties = folder / "server.properties"
        properties.write_text(render_properties(broker_properties(node, [node], data, {})), encoding="ascii")
        arguments = ["format", "--cluster-id", kafka_uuid(), "--config", str(properties)]
        guard = ProcessGuard([folder])
        try:
            finished = subprocess.run(
                plan.command(STORAGE_TOOL_MAIN, arguments),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=child_environment(),
                cwd=folder,
                process_group=guard.group_id,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise BrokerStartError(f"Kafka's storage tool did not end within {_TIMEOUT_S} s") from error
        finally:
            guard.kill_group()
        if finished.returncode != 0:
            tail = finished.stdout.decode(errors="replace")[-4_000:]
            raise BrokerStartError(f"Kafka's storage tool ended with exit code {finished.returncode}", tail)
        return (data / "bootstrap.checkpoint").read_bytes()
