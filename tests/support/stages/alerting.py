"""The alert agent on a log in memory, with a clock, a lag and a fleet that tests set."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import msgspec

from hotswap_events.alerts.commands import SetAlertPolicy
from hotswap_events.alerts.events import AlertPolicy, AlertRule
from hotswap_events.inference.fleet import FleetRecord
from hotswap_events.inference.observation import Observation
from hotswap_stream.agents.alert_agent import BEHIND, AlertAgent
from hotswap_stream.application.inference.fleet import FleetFold, FleetWorker
from hotswap_stream.application.inference.lag import WaitingRequests
from hotswap_stream.application.windows.split import SplitSeries
from hotswap_stream.domain.state.alerts import AlertsState
from hotswap_stream.errors import LogUnavailableError
from tests.support.clocks import SetClock
from tests.support.samples.observations import ObservedTraffic
from tests.support.samples.registry import MODEL, register, switch
from tests.support.stages.agent_in_memory import AgentStage


class SetLag:
    """Says what it is told; broker trouble while `down`."""

    def __init__(self) -> None:
        self.requests = 0
        self.standstill_seconds = 0.0
        self.asked: list[dict[str, float]] = []
        self.down = False

    async def waiting(self, models: Mapping[str, float]) -> dict[str, WaitingRequests]:
        self.asked.append(dict(models))
        if self.down:
            raise LogUnavailableError("no broker")
        waiting = WaitingRequests(requests=self.requests, partitions=2, standstill_seconds=self.standstill_seconds)
        return dict.fromkeys(models, waiting)


class FoundSplit:
    """A SplitView that found what it is told."""

    def __init__(self) -> None:
        self.found: dict[str, SplitSeries] = {}
        self.watched: frozenset[str] = frozenset()

    def watch(self, model_names: Iterable[str]) -> None:
        self.watched = frozenset(model_names)

    def of(self, model_name: str) -> SplitSeries | None:
        return self.found.get(model_name)


class HeardFleet:
    """What workers said, on a clock that is set."""

    def __init__(self, clock: SetClock) -> None:
        self.known = True
        self.fold = FleetFold()
        self._clock = clock

    def now_s(self) -> float:
        return self._clock.time.timestamp()

    def say(self, worker: str, *, goodbye: bool = False) -> None:
        record = FleetRecord(worker=worker, model_name=MODEL, registry_offset=0, versions={})
        value = None if goodbye else msgspec.json.encode(record)
        self.fold.apply(f"{worker}/{MODEL}".encode(), value, self.now_s())

    def workers(self, model_name: str) -> tuple[FleetWorker, ...]:
        return self.fold.workers(model_name, self.now_s())

    def absent_s(self, model_name: str) -> float:
        return self.fold.absent_s(model_name, self.now_s())


class Alerting:
    """An agent on a log in memory; v1 is active."""

    def __init__(self, stage: AgentStage) -> None:
        self.stage = stage
        self.traffic = ObservedTraffic()
        self.clock = SetClock(self.traffic.now)
        self.lag = SetLag()
        self.fleet = HeardFleet(self.clock)
        self.split = FoundSplit()
        self.agent = self.new_agent()

    def new_agent(self) -> AlertAgent:
        agent = AlertAgent(self.stage.registry, clock=self.clock, lag=self.lag, fleet=self.fleet, split=self.split)
        self.clock.time += BEHIND
        self.traffic.now = self.clock.time
        return agent

    async def do(self, *commands: Any) -> None:
        for command in commands:
            result = await self.stage.registry.handle(command)
            assert result.status == "accepted", result

    async def rules(self, *rules: AlertRule) -> None:
        id_ = f"p{self.stage.registry.state(MODEL).sequence}"
        policy = AlertPolicy(rules=rules)
        await self.do(SetAlertPolicy(command_id=id_, actor="alice", model_name=MODEL, policy=policy))

    async def seconds(self, count: int, *, owns: bool = True, **fields: Any) -> None:
        """So many seconds, each with an observation, if there are `fields`, and a look."""
        for _second in range(count):
            self.clock.time += timedelta(seconds=1)
            self.traffic.now = self.clock.time
            if fields:
                self.agent.observe(self.record(**fields), self.clock.time)
            await self.agent.tick(lambda _name: owns)

    def record(self, **fields: Any) -> Observation:
        return self.traffic.record(fields.pop("model_version", "v1"), **fields)

    @property
    def alerts(self) -> AlertsState:
        return self.stage.registry.state(MODEL).alerts


@asynccontextmanager
async def open_alerting() -> AsyncIterator[Alerting]:
    """An alert agent on a log in memory that has one model, of which v1 is active."""
    stage = AgentStage()
    await stage.registry.start()
    try:
        alerting = Alerting(stage)
        await alerting.do(register(), switch("v1"))
        yield alerting
    finally:
        await stage.registry.stop()
