"""Build the start cache: run a broker once with a little traffic and let its JVM write down what it loaded.

It takes about ten seconds, so a first start does not wait for it: it runs afterwards, at the lowest priority, and is
given up when the broker stops before it is done.
"""

import asyncio
import contextlib
import shutil
import threading
from collections.abc import Callable, Coroutine

import structlog
from filelock import FileLock, Timeout

from hotswap_stream.broker.broker_config import NodePorts
from hotswap_stream.broker.data_folder import NodeFolder, kafka_uuid
from hotswap_stream.broker.errors import BrokerError, BrokerStartError
from hotswap_stream.broker.guard import ProcessGuard
from hotswap_stream.broker.java.jvm import JvmPlan
from hotswap_stream.broker.java.start_cache import StartCache
from hotswap_stream.broker.node import KafkaNode, NodePlan, wait_until_ready
from hotswap_stream.broker.ports import HOST, pick_free_ports
from hotswap_stream.broker.progress import BrokerProgress, ProgressCallback

_log = structlog.get_logger(__name__)

_START_TIMEOUT_S = 120
_TRAFFIC_TIMEOUT_S = 60
_ASSEMBLE_TIMEOUT_S = 180
_OTHER_PROCESS_POLL_S = 0.2


async def train(
    cache: StartCache, jvm: JvmPlan, checkpoint: bytes, *, in_background: bool, report: ProgressCallback
) -> None:
    """Build `cache` unless it is usable. In the background, leave it to another process that is already building it.

    Raises:
        BrokerError: The training run failed.
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
        # Imported when needed: the client library takes as long to load as a tenth of a broker's start.
        from hotswap_stream.broker.start_training.traffic import send_and_receive

        await send_and_receive(f"{HOST}:{broker_port}", _TRAFFIC_TIMEOUT_S)
        report(BrokerProgress("start_cache", "Making later starts faster (once)", 0.4))
        node.terminate()
        if not await node.wait_for_end(_ASSEMBLE_TIMEOUT_S) or not trained.exists():
            raise BrokerStartError("the training run of the broker wrote no start cache", node.log_tail())
        cache.adopt(trained)
        report(BrokerProgress("start_cache", "Later starts are faster now", 1.0))
    finally:
        guard.kill_group()
        node.reap()
        shutil.rmtree(folder, ignore_errors=True)


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
