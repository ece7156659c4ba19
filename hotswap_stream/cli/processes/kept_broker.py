"""An embedded broker that is kept running, within its budget of disk space, and that says how it is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import typer

if TYPE_CHECKING:
    from hotswap_stream.broker import BrokerKeeper, BrokerProgress
    from hotswap_stream.broker.disk_budget import Limited
    from hotswap_stream.home.broker_condition import BrokerCondition
    from hotswap_stream.settings import Settings


class KeptBroker(msgspec.Struct, frozen=True):
    """Where the broker listens, who keeps it, and the keeping, which ends with a BrokerLostError when that fails."""

    bootstrap_servers: str
    keeper: "BrokerKeeper"
    keeping: "asyncio.Task[None]"


@asynccontextmanager
async def running_broker(
    settings: "Settings", *, nodes: int = 1, ports: list[int] | None = None, data_dir: Path | None = None
) -> AsyncIterator[KeptBroker]:
    """Run an embedded broker that other commands with the same home find. ConfigurationError if one runs already."""
    from hotswap_stream import bootstrap
    from hotswap_stream.application.topics.disk_budget import check_budget
    from hotswap_stream.broker import KAFKA_RELEASE, BrokerKeeper, EmbeddedKafka
    from hotswap_stream.broker.disk import free_bytes
    from hotswap_stream.broker.disk_budget import DiskBudget
    from hotswap_stream.errors import ConfigurationError
    from hotswap_stream.home.broker_condition import ConditionFile

    budget_bytes = check_budget(settings.broker_disk_bytes_max)
    already = bootstrap.running_broker(settings)
    if already is not None:
        raise ConfigurationError(
            f"a broker of {settings.home} runs already on {already.bootstrap_servers} (process {already.pid})"
        )
    if ports is None and settings.broker_port is not None:
        ports = [settings.broker_port + number for number in range(nodes)]
    async with EmbeddedKafka(
        nodes,
        data_dir,
        settings.broker_heap_mib_max,
        ports,
        ProgressPrinter(),
        cache_dir=settings.cache / f"kafka-{KAFKA_RELEASE}",
    ) as kafka:
        condition = ConditionFile(settings.home)
        printer = ConditionPrinter()

        def tell(news: "BrokerCondition") -> None:
            condition.tell(news)
            printer(news)

        keeper = BrokerKeeper(kafka, tell)
        budget = DiskBudget(kafka, budget_bytes, limited)
        if warning := budget.room_missing(free_bytes(kafka.folder)):
            typer.secho(warning, fg="yellow", err=True)
        bootstrap.announce_broker(settings, kafka.bootstrap_servers, data_dir)
        condition.open()
        keeping = asyncio.create_task(keeper.run(), name="keep-broker")
        limiting = asyncio.create_task(budget.run(), name="limit-topics")
        try:
            yield KeptBroker(kafka.bootstrap_servers, keeper, keeping)
        finally:
            for task in (keeping, limiting):
                task.cancel()
            await asyncio.gather(keeping, limiting, return_exceptions=True)
            bootstrap.withdraw_broker(settings)
            condition.remove()


def limited(topic: str) -> "Limited | None":
    """Return how a topic shares the budget of disk space; None for a topic that is never cut."""
    from hotswap_stream.application.topics.disk_budget import limited_topic
    from hotswap_stream.broker.disk_budget import Limited

    found = limited_topic(topic)
    return None if found is None else Limited("traffic" if found[0] else "record", found[1])


class ConditionPrinter:
    """Prints how the broker is when that changes."""

    def __init__(self) -> None:
        self._state = "serving"
        self._warned = False

    def __call__(self, news: "BrokerCondition") -> None:
        """Print one condition, if it says something new."""
        if news.state == "away":
            again = "still away" if self._state == "away" else "ended; it is started again"
            typer.secho(f"broker: {again}: {news.because}", fg="red", err=True)
        elif self._state == "away":
            typer.secho(f"broker: serves again (restart {news.restarts})", fg="green", err=True)
        if news.disk_warning and not self._warned:
            typer.secho(f"broker: {news.disk_warning}", fg="yellow", err=True)
        self._state, self._warned = news.state, bool(news.disk_warning)


class ProgressPrinter:
    """Prints the broker's progress: each text once, and each tenth of a stage."""

    def __init__(self) -> None:
        self._last: tuple[str, int] | None = None

    def __call__(self, event: "BrokerProgress") -> None:
        """Print one event, if it says something new."""
        tenth = -1 if event.fraction is None else int(event.fraction * 10)
        if (event.stage, tenth) != self._last:
            self._last = event.stage, tenth
            share = "" if event.fraction is None else f" {event.fraction:.0%}"
            typer.echo(f"{event.text}{share}", err=True)
