"""One node of the embedded cluster: a JVM that is broker and controller, and the faults that can be done to it."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hotswap_stream.broker.broker_config import NodePorts, broker_properties, logging_properties
from hotswap_stream.broker.broker_log import JVM_OUTPUT_NAME, Cause, find_cause, log_tail
from hotswap_stream.broker.broker_probe import ask_cluster, ask_for_coordinator, unregister_broker
from hotswap_stream.broker.data_folder import NodeFolder
from hotswap_stream.broker.errors import BrokerError, BrokerStartError, DiskFullError, PortTakenError
from hotswap_stream.broker.guard import ProcessGuard
from hotswap_stream.broker.java.jvm import KAFKA_MAIN, JvmPlan
from hotswap_stream.broker.java.properties import render_properties
from hotswap_stream.broker.java.runtime import child_environment

_POLL_S = 0.01
_ASK_TIMEOUT_S = 1.0
_KILL_TIMEOUT_S = 10.0
_WITHDRAW_TIMEOUT_S = 4.0
"""If the node that ended was the active controller, the others need two to three seconds to have another one."""
_WITHDRAW_POLL_S = 0.05


class NodeDiedError(BrokerStartError):
    """The JVM ended while it was waited for. `exit_code` is negative for the signal that ended it."""

    def __init__(self, message: str, log_tail: str, exit_code: int) -> None:
        super().__init__(message, log_tail)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class NodePlan:
    """What the nodes of one cluster share. `start_cache` gives JVM flags, asked anew at each start."""

    jvm: JvmPlan
    guard: ProcessGuard
    cluster_id: str
    cluster: tuple[NodePorts, ...]
    overrides: Mapping[str, str]
    start_cache: Callable[[], Sequence[str]]
    in_background: bool = False


class KafkaNode:
    """A node. `start` again after `stop` or `kill` keeps port and data. Not bound to an event loop."""

    def __init__(self, ports: NodePorts, folder: NodeFolder, plan: NodePlan) -> None:
        self.node_id = ports.node_id
        self.port = ports.broker_port
        self.controller_port = ports.controller_port
        self._folder = folder
        self._plan = plan
        self._ports = ports
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Return the JVM's process id while it runs, also while it is paused; else None."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def log_dir(self) -> Path:
        """Return the folder of the node's log files."""
        return self._folder.log_dir

    async def start(self, timeout_s: float = 60.0) -> None:
        """Start the node and return when it serves; at once when it runs. Raises BrokerError."""
        if self.pid is None:
            self.launch()
            await wait_until_ready([self], {self.node_id}, timeout_s)

    async def stop(self, timeout_s: float = 10.0) -> None:
        """Let the node hand its work to the others and end; kill it when that takes longer than `timeout_s`."""
        self.terminate()
        if not await self.wait_for_end(timeout_s):
            await self.kill()

    async def kill(self) -> None:
        """End the node with SIGKILL, as a crash would."""
        self.kill_now()
        await self.wait_for_end(_KILL_TIMEOUT_S)

    async def withdraw(self, timeout_s: float = _WITHDRAW_TIMEOUT_S) -> bool:
        """Have the other nodes take over at once from this one, whose process has ended, however it did.

        Else they would wait until its session ends, and take nothing for what it led or has a copy of; nor could it
        come back before. Call it before the next start.

        Returns:
            Whether they know.
        """
        deadline = time.monotonic() + timeout_s
        others = [peer.controller_port for peer in self._plan.cluster if peer.node_id != self.node_id]
        while others and self.pid is None and time.monotonic() < deadline:
            for port in others:
                if await unregister_broker(port, self.node_id, _ASK_TIMEOUT_S):
                    return True
            await asyncio.sleep(_WITHDRAW_POLL_S)
        return False

    def pause(self) -> None:
        """Stop the node's clock (SIGSTOP): its connections stay open and it says nothing. `resume` ends that."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused node go on (SIGCONT)."""
        self._signal(signal.SIGCONT)

    def launch(self) -> None:
        """Start the JVM and return before it serves."""
        plan = self._plan
        properties = self._folder.path / "server.properties"
        logging = self._folder.path / "logging.properties"
        values = broker_properties(self._ports, plan.cluster, self._folder.data_dir, plan.overrides)
        properties.write_text(render_properties(values), encoding="ascii")
        logging.write_text(render_properties(logging_properties(self.log_dir)), encoding="ascii")
        extra = [
            f"-Djava.util.logging.config.file={logging}",
            f"-XX:ErrorFile={self.log_dir / 'jvm-crash.log'}",
            *plan.start_cache(),
        ]
        command = plan.jvm.command(KAFKA_MAIN, [str(properties)], extra)
        if plan.in_background and (nice := shutil.which("nice", path=os.defpath)):
            command = [nice, "-n", "19", *command]
        with (self.log_dir / JVM_OUTPUT_NAME).open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=child_environment(),
                cwd=self._folder.path,
                process_group=plan.guard.group_id,
            )
        self._folder.record_jvm(self._process.pid)

    def terminate(self) -> None:
        """Ask the JVM to end, without waiting."""
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)  # a paused process takes no SIGTERM

    def kill_now(self) -> None:
        """Send SIGKILL without waiting for the end."""
        self._signal(signal.SIGKILL)

    def reap(self) -> None:
        """Wait, without a loop, for the end of a JVM that was killed."""
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_KILL_TIMEOUT_S)

    async def wait_for_end(self, timeout_s: float) -> bool:
        """Return whether the JVM ended within `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while self.pid is not None:
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(_POLL_S)
        return True

    async def serves(self, expected_ids: Collection[int]) -> bool:
        """Return whether the node answers and knows all `expected_ids` as live.

        Raise BrokerError when the JVM ended.
        """
        if self.pid is None:
            raise self.why_it_ended()
        seen = await ask_cluster(self.port, _ASK_TIMEOUT_S)
        # The id tells our broker from a stranger's that got the port in between.
        if seen is None or seen.cluster_id != self._plan.cluster_id or not seen.broker_ids >= set(expected_ids):
            return False
        return await ask_for_coordinator(self.port, _ASK_TIMEOUT_S)

    def log_tail(self) -> str:
        """Return the last lines that the node logged."""
        return log_tail(self.log_dir)

    def why_it_ended(self) -> BrokerError:
        """Return what its log, and its exit code, say about the end of the JVM."""
        tail = self.log_tail()
        cause = find_cause(tail)
        if cause is Cause.PORT_TAKEN:
            return PortTakenError(
                f"node {self.node_id} could not listen on port {self.port} or {self.controller_port}: "
                "another process has it; end that process or give another port"
            )
        if cause is Cause.DISK_FULL:
            return DiskFullError(f"the disk of {self._folder.path} is full; make room and start again")
        if cause is Cause.DISK_FAILED:
            return BrokerStartError(f"the disk of {self._folder.path} cannot be read or written", tail)
        exit_code = self._process.returncode if self._process is not None else 0
        how = f"was killed by signal {-exit_code}" if exit_code < 0 else f"ended with exit code {exit_code}"
        if cause is Cause.SETTING_WRONG:
            # Not one that died: another start, with caches built anew, would end as this one did.
            return BrokerStartError(f"node {self.node_id} of the broker {how}, because of a setting", tail)
        return NodeDiedError(f"node {self.node_id} of the broker {how}", tail, exit_code)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)


async def wait_until_ready(nodes: Sequence[KafkaNode], expected_ids: Collection[int], timeout_s: float) -> None:
    """Return when every node serves, knows all `expected_ids`, and finds the coordinator of a group.

    Raises:
        BrokerError: A JVM ended, or the deadline passed.
    """
    deadline = time.monotonic() + timeout_s
    waiting = list(nodes)
    while waiting:
        waiting = [node for node in waiting if not await node.serves(expected_ids)]
        if waiting and time.monotonic() >= deadline:
            ids = ", ".join(str(node.node_id) for node in waiting)
            raise BrokerStartError(f"node {ids} of the broker was not ready in {timeout_s:g} s", waiting[0].log_tail())
        if waiting:
            await asyncio.sleep(_POLL_S)
