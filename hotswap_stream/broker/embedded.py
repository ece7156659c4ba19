"""A real Apache Kafka inside a Python program: one node for development, several for fault tests."""

import asyncio
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from hotswap_stream.broker.broker_config import NodePorts
from hotswap_stream.broker.data_folder import DataFolder, remove_abandoned
from hotswap_stream.broker.errors import BrokerError, PortTakenError
from hotswap_stream.broker.guard import ProcessGuard
from hotswap_stream.broker.jars.cache import JarCache, default_cache_dir
from hotswap_stream.broker.jars.lock import KAFKA_RELEASE
from hotswap_stream.broker.java.jvm import JvmPlan
from hotswap_stream.broker.java.runtime import find_java_runtime
from hotswap_stream.broker.java.start_cache import StartCache
from hotswap_stream.broker.node import KafkaNode, NodeDiedError, NodePlan, wait_until_ready
from hotswap_stream.broker.ports import HOST, is_free, pick_free_ports, require_free
from hotswap_stream.broker.progress import BrokerProgress, ProgressCallback, ignore_progress
from hotswap_stream.broker.start_training.training import BackgroundTraining, train
from hotswap_stream.broker.storage_format import bootstrap_checkpoint

_log = structlog.get_logger(__name__)

_PORT_TRIES_MAX = 5
_NODES_MAX = 9
_KEPT_DATA_GRACE_S = 5.0


class EmbeddedKafka:
    """Run Apache Kafka on loopback ports, as an async context manager or through `start` and `stop`.

    It is not bound to an event loop: `stop` may run in another loop than `start`. When this process ends in any way,
    also by SIGKILL, the broker ends too. Errors are BrokerErrors that say what to do.

    Args:
        nodes: 1 to 9, each broker and controller.
        data_dir: A folder to keep the data in; without it the data is gone when the broker is.
        ports: The brokers' ports, one each; without them free ones (a kept cluster keeps its own when they are free).
        cache_dir: Where Kafka's jars and the start cache lie, shared by all.
        repository_url: A Maven repository in place of Maven Central.
        jvm_options: Win over the defaults.
        kafka_options: Win over the defaults; listeners come beside those that are there anyway.
        use_start_cache: Start from the JVM's cache, and build it in the background after the first start.
    """

    def __init__(
        self,
        nodes: int = 1,
        data_dir: Path | None = None,
        heap_mib_max: int = 256,
        ports: Sequence[int] | None = None,
        on_progress: ProgressCallback | None = None,
        *,
        cache_dir: Path | None = None,
        repository_url: str | None = None,
        start_timeout_s: float = 60.0,
        disk_free_mib_min: int = 256,
        jvm_options: Sequence[str] = (),
        kafka_options: Mapping[str, str] | None = None,
        use_start_cache: bool = True,
    ) -> None:
        if not 1 <= nodes <= _NODES_MAX:
            raise BrokerError(f"nodes must be 1 to {_NODES_MAX}, not {nodes}")
        if ports is not None and (len(ports) != nodes or len(set(ports)) != nodes):
            raise BrokerError(f"ports must be {nodes} different numbers, one for each node, not {list(ports)}")
        self._node_count = nodes
        self._data_dir = data_dir
        self._heap_mib_max = heap_mib_max
        self._given_ports = None if ports is None else tuple(ports)
        self._report = on_progress or ignore_progress
        self._jars = JarCache((cache_dir or default_cache_dir()).absolute(), repository_url)
        self._start_timeout_s = start_timeout_s
        self._disk_free_mib_min = disk_free_mib_min
        self._jvm_options = tuple(jvm_options)
        self._kafka_options = dict(kafka_options or {})
        self._use_start_cache = use_start_cache
        self._folder: DataFolder | None = None
        self._guard: ProcessGuard | None = None
        self._training: BackgroundTraining | None = None
        self._nodes: tuple[KafkaNode, ...] = ()

    @property
    def bootstrap_servers(self) -> str:
        """Return `host:port` of every node, separated by commas. Raise BrokerError before the start."""
        if not self._nodes:
            raise BrokerError("the embedded broker is not running; start it first")
        return ",".join(f"{HOST}:{node.port}" for node in self._nodes)

    @property
    def nodes(self) -> tuple[KafkaNode, ...]:
        """Return the nodes, in the order of their ids; none before the start."""
        return self._nodes

    @property
    def folder(self) -> Path:
        """Return the folder where the data lies. Raise BrokerError before the start."""
        if self._folder is None:
            raise BrokerError("the embedded broker is not running; start it first")
        return self._folder.path

    @property
    def data_dirs(self) -> tuple[Path, ...]:
        """Return what Kafka calls its log dir, for each node. Raise BrokerError before the start."""
        if self._folder is None:
            raise BrokerError("the embedded broker is not running; start it first")
        return tuple(self._folder.nodes[node.node_id].data_dir for node in self._nodes)

    @property
    def disk_free_bytes_min(self) -> int:
        """Return the room, in bytes, that a start needs on the disk of the data."""
        return self._disk_free_mib_min * 2**20

    async def start(self) -> None:
        """Start all nodes, and return when each serves and knows all others; at once when it runs already."""
        if self._nodes:
            return
        started = time.monotonic()
        try:
            jvm, checkpoint = await self._prepare_cache()
            cache = StartCache(self._jars.cache_dir, jvm)
            self._folder = await asyncio.to_thread(self._open_folder)
            abandoned_after = [self._folder.path] if self._folder.temporary else []
            self._guard = ProcessGuard(abandoned_after, 0.0 if self._folder.temporary else _KEPT_DATA_GRACE_S)
            await self._start_nodes(jvm, checkpoint, cache)
        except BaseException:
            await self._end(stop_timeout_s=0)
            raise
        seconds = time.monotonic() - started
        _log.info("broker_started", bootstrap_servers=self.bootstrap_servers, seconds=round(seconds, 3))
        text = f"Apache Kafka {KAFKA_RELEASE} is ready on {self.bootstrap_servers} after {seconds:.1f} s"
        self._report(BrokerProgress("ready", text, 1.0))
        if self._use_start_cache and not cache.is_usable():
            run = partial(train, cache, jvm, checkpoint, in_background=True, report=self._report)
            self._training = BackgroundTraining(run)
            self._training.start()

    async def stop(self, timeout_s: float = 10.0) -> None:
        """Stop all nodes, kill those that take longer than `timeout_s`, remove temporary data."""
        if self._nodes:
            self._report(BrokerProgress("stop", "Stopping Apache Kafka"))
        # Several nodes that end at once wait 5 s for a quorum that will not come; their data is thrown away anyway.
        pointless = len(self._nodes) > 1 and self._data_dir is None
        await self._end(stop_timeout_s=0 if pointless else timeout_s)

    async def prepare(self) -> None:
        """Fill the caches, start cache included, without leaving a broker running: for images and CI."""
        jvm, checkpoint = await self._prepare_cache()
        if self._use_start_cache:
            cache = StartCache(self._jars.cache_dir, jvm)
            await train(cache, jvm, checkpoint, in_background=False, report=self._report)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def _prepare_cache(self) -> tuple[JvmPlan, bytes]:
        cancelled = threading.Event()
        try:
            return await asyncio.to_thread(self._prepare_cache_blocking, cancelled)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    def _prepare_cache_blocking(self, cancelled: threading.Event) -> tuple[JvmPlan, bytes]:
        runtime = find_java_runtime()
        self._jars.ensure(self._report, cancelled)
        jvm = JvmPlan(runtime, self._jars.class_path, self._heap_mib_max, self._jvm_options)
        return jvm, bootstrap_checkpoint(self._jars.cache_dir, jvm, self._report)

    def _open_folder(self) -> DataFolder:
        remove_abandoned()
        folder = DataFolder(self._data_dir, self._node_count)
        try:
            folder.require_free_space(self._disk_free_mib_min)
        except BaseException:
            folder.close()
            raise
        return folder

    async def _start_nodes(self, jvm: JvmPlan, checkpoint: bytes, cache: StartCache) -> None:
        mended = False
        for port_try in range(_PORT_TRIES_MAX):
            try:
                await self._start_nodes_once(jvm, checkpoint, cache)
                return
            except PortTakenError:
                await self._kill_nodes()
                if self._given_ports is not None or port_try == _PORT_TRIES_MAX - 1:
                    raise
                self._report(BrokerProgress("retry", "Another process took a port; trying others"))
            except NodeDiedError as error:
                await self._kill_nodes()
                if mended:
                    raise
                mended = True
                # A damaged start cache or jar shows as a JVM that ends: build anew what cannot be trusted.
                _log.warning("broker_start_retried", exit_code=error.exit_code)
                self._report(BrokerProgress("retry", "The broker's process ended; checking its caches"))
                cache.discard()
                self._jars.distrust()
                await self._prepare_cache()

    async def _start_nodes_once(self, jvm: JvmPlan, checkpoint: bytes, cache: StartCache) -> None:
        folder, guard = self._folder, self._guard
        if folder is None or guard is None:
            raise BrokerError("the embedded broker was stopped while it started")
        cluster = tuple(self._choose_ports(folder.remembered_ports))
        folder.remember_ports(cluster)
        start_flags = cache.flags if self._use_start_cache else list
        plan = NodePlan(jvm, guard, folder.cluster_id, cluster, self._kafka_options, start_flags)
        self._report(BrokerProgress("start", f"Starting Apache Kafka {KAFKA_RELEASE}"))
        self._nodes = tuple(KafkaNode(ports, folder.nodes[ports.node_id], plan) for ports in cluster)
        for node in self._nodes:
            folder.nodes[node.node_id].format(node.node_id, folder.cluster_id, checkpoint)
            node.launch()
        await wait_until_ready(self._nodes, {node.node_id for node in self._nodes}, self._start_timeout_s)

    def _choose_ports(self, remembered: Sequence[NodePorts]) -> list[NodePorts]:
        numbers = [port for ports in remembered for port in (ports.broker_port, ports.controller_port)]
        if self._given_ports is not None:
            require_free(self._given_ports)
            controllers = pick_free_ports(self._node_count, self._given_ports)
            pairs = list(zip(self._given_ports, controllers, strict=True))
        elif all(numbers) and not self._nodes and all(is_free(port) for port in numbers):
            return list(remembered)
        else:
            if all(numbers) and not self._nodes:
                self._report(BrokerProgress("retry", "A port of the last start is taken; using other ports"))
            picked = pick_free_ports(2 * self._node_count)
            pairs = list(zip(picked[::2], picked[1::2], strict=True))
        return [NodePorts(ports.node_id, *pair) for ports, pair in zip(remembered, pairs, strict=True)]

    async def _kill_nodes(self) -> None:
        for node in self._nodes:
            await node.kill()

    async def _end(self, stop_timeout_s: float) -> None:
        try:
            for node in self._nodes:
                node.terminate()
            if self._training is not None:
                await asyncio.to_thread(self._training.cancel)
            deadline = time.monotonic() + stop_timeout_s
            for node in self._nodes:
                await node.wait_for_end(deadline - time.monotonic())
        finally:
            # From here on nothing waits for the loop: a cancelled stop ends the processes too.
            if self._guard is not None:
                self._guard.kill_group()
            for node in self._nodes:
                node.reap()
            if self._folder is not None:
                self._folder.close()
            self._nodes, self._folder, self._guard, self._training = (), None, None, None
