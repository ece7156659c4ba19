"""Everything on one machine: a broker where none is configured, and agents, workers and API kept running on it."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from hotswap_stream.application.processes.supervision import ProcessSpec, ProcessStatus, Supervisor
    from hotswap_stream.cli.processes.kept_broker import KeptBroker
    from hotswap_stream.settings import Settings

READY_SECONDS_MAX = 90.0
_REQUEST_SECONDS_MAX = 5.0


class Stack(msgspec.Struct, frozen=True):
    """What runs: the settings with the broker's address in them, and the processes."""

    settings: "Settings"
    supervisor: "Supervisor"
    broker: "KeptBroker | None" = None
    """The embedded broker; None where a cluster is configured."""

    @property
    def api_url(self) -> str:
        """Return where the API listens."""
        return _url_of(self.settings)


@asynccontextmanager
async def running_stack(
    settings: "Settings",
    *,
    workers: int = 1,
    trainers: int = 0,
    temporary: bool = False,
    more: Sequence[Sequence[str]] = (),
    on_change: "Callable[[ProcessStatus], None] | None" = None,
) -> AsyncIterator[Stack]:
    """Start all, yield when the API is ready, stop all in reverse order. Errors of the broker and of supervision.

    `more` are arguments of further commands that are kept running, each under the name of its command.
    """
    from hotswap_stream import bootstrap
    from hotswap_stream.application.processes.supervision import Supervisor
    from hotswap_stream.cli.processes.kept_broker import running_broker

    async with AsyncExitStack() as stack:
        kafka: KeptBroker | None = None
        if settings.kafka_bootstrap_servers is None:
            data_dir = None if temporary else settings.home / "kafka"
            kafka = await stack.enter_async_context(running_broker(settings, data_dir=data_dir))
            settings = msgspec.structs.replace(settings, kafka_bootstrap_servers=kafka.bootstrap_servers)
        await bootstrap.ensure_control_topics(settings)
        specs = _specs(settings, workers, trainers, more)
        if kafka is not None:
            # Without a broker they can only end again.
            specs = [msgspec.structs.replace(spec, may_start=kafka.keeper.wait_serving) for spec in specs]
        supervisor = Supervisor(specs, on_change=on_change)
        await stack.enter_async_context(supervisor)
        yield Stack(settings, supervisor, kafka)


def _specs(settings: "Settings", workers: int, trainers: int, more: Sequence[Sequence[str]]) -> "list[ProcessSpec]":
    from hotswap_stream.application.processes.supervision import ProcessSpec
    from hotswap_stream.settings import child_environment

    # Each on a free port, which it leaves in the home folder.
    metrics_port = 0 if settings.metrics_port is None else settings.metrics_port
    environment = child_environment(msgspec.structs.replace(settings, metrics_port=metrics_port))
    logs = settings.home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    program = [sys.executable, "-m", "hotswap_stream.cli"]
    own = settings.api_tls_certificate_file
    specs = [
        ProcessSpec(
            name=f"worker-{number}",
            argv=[*program, "worker", "--name", f"worker-{number}"],
            env=environment,
            log_file=logs / f"worker-{number}.log",
        )
        for number in range(1, workers + 1)
    ]
    specs.append(ProcessSpec(name="agents", argv=[*program, "agents"], env=environment, log_file=logs / "agents.log"))
    specs += [
        ProcessSpec(
            name=f"trainers-{number}",
            argv=[*program, "trainers", "--name", f"trainers-{number}"],
            env=environment,
            log_file=logs / f"trainers-{number}.log",
        )
        for number in range(1, trainers + 1)
    ]
    specs += [
        ProcessSpec(
            name=arguments[0], argv=[*program, *arguments], env=environment, log_file=logs / f"{arguments[0]}.log"
        )
        for arguments in more
    ]
    # Last, so that the machine waits for one thing only, while the others start beside it.
    specs.append(
        ProcessSpec(
            name="api",
            argv=[*program, "api"],
            env=environment,
            log_file=logs / "api.log",
            ready=lambda: _answers(f"{_url_of(settings)}/api/health/ready", own),
            ready_seconds_max=READY_SECONDS_MAX,
        )
    )
    return specs


def _url_of(settings: "Settings") -> str:
    scheme = "http" if settings.api_tls_certificate_file is None else "https"
    return f"{scheme}://{settings.api_host}:{settings.api_port}"


async def _answers(url: str, certificate_file: str | None) -> bool:
    import ssl

    import httpx

    trusted: ssl.SSLContext | bool = True
    if certificate_file is not None:
        # The very certificate that the process was given, whatever its names: this asks our own child.
        trusted = ssl.create_default_context(cafile=certificate_file)
        trusted.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        trusted.check_hostname = False

    try:
        async with httpx.AsyncClient(timeout=_REQUEST_SECONDS_MAX, verify=trusted) as client:
            return (await client.get(url)).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


async def wait_for_end(stack: Stack, stop: asyncio.Event) -> "ProcessStatus | None":
    """Wait for `stop`, or for a process that has failed for good, which is returned. BrokerLostError."""
    stopping = asyncio.create_task(stop.wait())
    failing = asyncio.create_task(stack.supervisor.wait_failed())
    keeping = set() if stack.broker is None else {stack.broker.keeping}
    try:
        await asyncio.wait({stopping, failing, *keeping}, return_when=asyncio.FIRST_COMPLETED)
        for kept in keeping:
            if kept.done():
                kept.result()
        return failing.result() if failing.done() else None
    finally:
        stopping.cancel()
        failing.cancel()


def log_folder(settings: "Settings") -> Path:
    """Return the folder of the processes' logs."""
    return settings.home / "logs"
