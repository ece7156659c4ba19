"""Build the start cache: run a broker once with a little traffic and let its JVM write down what it loaded.

It takes about ten seconds, so a first start does not wait for it: it runs afterwards, at the lowest priority, and is
given up when the broker stops before it is done.
"""

import asyncio
import contextlib
import shutil
import threading
import uuid
from collections.abc import Callable, Coroutine

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError
from filelock import FileLock, Timeout

from hotswap_stream.broker.broker_config import NodePorts
from hotswap_stream.broker.data_folder import NodeFolder, kafka_uuid
from hotswap_stream.broker.errors import BrokerError, BrokerStartError
from hotswap_stream.broker.guard import ProcessGuard
from hotswap_stream.broker.jvm import JvmPlan
from hotswap_stream.broker.node import KafkaNode, NodePlan, wait_until_ready
from hotswap_stream.broker.ports import HOST, pick_free_ports
from hotswap_stream.broker.progress import BrokerProgress, ProgressCallback
from hotswap_stream.broker.start_cache import StartCache

_log = structlog.get_logger(__name__)

_START_TIMEOUT_S = 120
_TRAFFIC_TIMEOUT_S = 60
_ASSEMBLE_TIMEOUT_S = 180
_OTHER_PROCESS_POLL_S = 0.2


async def train(
    cache: StartCache, jvm: JvmPlan, checkpoint: bytes, *, in_background: bool, report: ProgressCallback
) -> None:
    """Build `cache` unless it is usable. In the background it leaves the work to a process that is at it already.

    Raises BrokerError when the training run fails.
    """
    cache.folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(cache.folder / ".lock", thread_local=False)
    while True:
        try:
            lock.acquire(timeout=0)
            break
        except Timeout:
            if in_background:
                return
            await asyncio.sleep(_OTHER_PROCESS_POLL_S)
    try:
        if not cache.is_usable():
            await _run(cache, jvm, checkpoint, in_background=in_background, report=report)
    finally:
        lock.release()


async def _run(
    cache: StartCache, jvm: JvmPlan, checkpoint: bytes, *, in_background: bool, report: ProgressCallback
) -> None:
    folder = cache.folder / "training"
    trained = folder / "trained.aot"
    shutil.rmtree(folder, ignore_errors=True)
    node_folder = NodeFolder(folder / "node-1")
    broker_port, controller_port = pick_free_ports(2)
    ports = NodePorts(1, broker_port, controller_port)
    guard = ProcessGuard([folder])
    plan = NodePlan(
        jvm=jvm,
        guard=guard,
        cluster_id=kafka_uuid(),
        cluster=(ports,),
        overrides={},
        start_cache=lambda: [f"-XX:AOTCacheOutput={trained}"],
        in_background=in_background,
    )
    node = KafkaNode(ports, node_folder, plan)
    try:
        node_folder.format(1, plan.cluster_id, checkpoint)
        report(BrokerProgress("start_cache", "Making later starts faster (once)", 0.0))
        node.launch()
        await wait_until_ready([node], {1}, _START_TIMEOUT_S)
        report(BrokerProgress("start_cache", "Making later starts faster (once)", 0.3))
        async with asyncio.timeout(_TRAFFIC_TIMEOUT_S):
            await _some_traffic(f"{HOST}:{broker_port}")
        report(BrokerProgress("start_cache", "Making later starts faster (once)", 0.4))
        node.terminate()
        if not await node.wait_for_end(_ASSEMBLE_TIMEOUT_S) or not trained.exists():
            raise BrokerStartError("the training run of the broker wrote no start cache", node.log_tail())
        cache.adopt(trained)
        report(BrokerProgress("start_cache", "Later starts are faster now", 1.0))
    except (TimeoutError, KafkaError) as error:
        raise BrokerStartError(f"the training run of the broker did not serve: {error!r}") from error
    finally:
        guard.kill_group()
        node.reap()
        shutil.rmtree(folder, ignore_errors=True)


async def _some_traffic(bootstrap_servers: str) -> None:
    """What our clients do first, so that the code for it is in the cache: topic, send, batch, group, commit."""
    topic = f"training-{uuid.uuid4().hex}"
    async with contextlib.AsyncExitStack() as stack:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
        await admin.start()
        stack.push_async_callback(admin.close)
        configs = {"cleanup.policy": "compact"}
        await admin.create_topics([NewTopic(topic, num_partitions=2, replication_factor=1, topic_configs=configs)])
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all", enable_idempotence=True)
        await producer.start()
        stack.push_async_callback(producer.stop)
        for number in range(200):
            await producer.send_and_wait(topic, b"value", key=b"key", partition=number % 2)
        consumer = AIOKafkaConsumer(
            topic, bootstrap_servers=bootstrap_servers, group_id=topic, auto_offset_reset="earliest"
        )
        await consumer.start()
        stack.push_async_callback(consumer.stop)
        received = 0
        while received < 200:
            received += sum(len(records) for records in (await consumer.getmany(timeout_ms=1_000)).values())
        await consumer.commit()


class BackgroundTraining:
    """A training run in a thread and an event loop of its own; it outlives no `cancel` and no process."""

    def __init__(self, run: Callable[[], Coroutine[None, None, None]]) -> None:
        self._run = run
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._running = threading.Event()
        self._thread = threading.Thread(target=self._main, name="hotswap-start-cache", daemon=True)

    def start(self) -> None:
        """Begin, and return at once."""
        self._thread.start()

    def cancel(self) -> None:
        """End the run if it is not done. Blocking, for a moment."""
        self._running.wait()
        if self._loop is not None and self._task is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: it is done
                self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join()

    def join(self) -> None:
        """Wait until the run is done. Blocking."""
        self._thread.join()

    def _main(self) -> None:
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            self._task = self._loop.create_task(self._run())
            self._running.set()
            try:
                self._loop.run_until_complete(self._task)
            except asyncio.CancelledError:
                _log.debug("start_cache_training_cancelled")
            except (BrokerError, OSError) as error:
                # The broker serves; its next start is slow again and tries again.
                _log.warning("start_cache_training_failed", error=str(error))
