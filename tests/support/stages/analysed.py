"""The analysis agent on a log in memory, with a rollout and what it hears of it."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from hotswap_events.inference.observation import Feedback, Observation
from hotswap_events.rollouts.strategy import MetricRule, RolloutPolicy
from hotswap_stream.agents.analysis_agent import AnalysisAgent
from hotswap_stream.agents.observation_reader import ObservationReader, ObservationSubscriber
from hotswap_stream.agents.record_care import RecordCare
from hotswap_stream.application.observations.feedback import FoundAnswer
from hotswap_stream.application.rollouts.analysis.entry import AnalysisEntry
from hotswap_stream.application.topics.records import InboundRecord
from hotswap_stream.domain.state.rollout import RolloutState
from tests.support.clocks import SetClock
from tests.support.samples.observations import ObservedTraffic
from tests.support.samples.registry import MODEL, register, validate
from tests.support.samples.rollouts import CANARY, start_rollout
from tests.support.stages.agent_in_memory import TOPICS, AgentStage

SPLIT = {"v1": 9_500, "v2": 500}


class AnswersAt:
    """Answers by their place: even offsets are v2's, which always says 1; v1 says 0."""

    def __init__(self, at_ms: int) -> None:
        self.at_ms = at_ms
        self.looked_up = 0

    async def by_place(self, _model_name: str, request_partition: int, request_offset: int) -> FoundAnswer | None:
        self.looked_up += 1
        version = "v1" if request_offset % 2 else "v2"
        return FoundAnswer(
            request_partition=request_partition,
            request_offset=request_offset,
            answered_at_ms=self.at_ms,
            model_version=version,
            ok=True,
            label=int(version == "v2"),
        )

    async def by_id(self, _model_name: str, _request_id: str) -> FoundAnswer | None:
        self.looked_up += 1
        return None


def label(number: int, at: datetime, feedback_id: str | None = None) -> Feedback:
    """About the answer at this offset: its class was 0."""
    return Feedback(
        model_name=MODEL,
        feedback_id=feedback_id or f"f{number}",
        at=at,
        request_partition=0,
        request_offset=number,
        label=0,
    )


class Analysed:
    """An agent on a log in memory, with a rollout that has begun."""

    def __init__(self, stage: AgentStage) -> None:
        self.stage = stage
        self.entries: dict[bytes, bytes] = {}
        self.traffic = ObservedTraffic()
        self.next_offset = 0
        self.clock = SetClock(self.traffic.now)
        self.care = RecordCare(stage.publisher, TOPICS)
        self.others: tuple[ObservationSubscriber, ...] = ()
        """Who hears the observations before the agent."""
        self.agent = self.new_agent()

    def new_agent(self, **fields: Any) -> AnalysisAgent:
        registry, publisher = self.stage.registry, self.stage.publisher
        return AnalysisAgent(registry, publisher, TOPICS, self.entries, clock=self.clock, care=self.care, **fields)

    async def begin(self, *arguments: Any, **fields: Any) -> RolloutState:
        policy = RolloutPolicy(metrics=(MetricRule(metric="success-rate", margin=0.03),), promote_on_operational=True)
        for command in (
            register(),
            validate("v1", promote_first=True),
            register(),
            validate("v2", 0.97, ("v1", 0.97)),
            start_rollout(*(arguments or (CANARY, "v2")), **{"policy": policy, **fields}),
        ):
            assert (await self.stage.registry.handle(command)).status == "accepted"
        rollout = self.stage.registry.state(MODEL).rollout
        assert rollout is not None
        self.clock.time = self.traffic.now = rollout.started_at + timedelta(seconds=1)
        return rollout

    def seconds(self, count: int, rates: dict[str, float]) -> list[InboundRecord]:
        records = [record for _second in range(count) for record in self.traffic.second(rates, SPLIT)]
        return [self.record(record, round(record.until.timestamp() * 1000)) for record in records]

    def record(self, value: Observation | Feedback, timestamp_ms: int, /, **fields: Any) -> InboundRecord:
        topic = TOPICS.observations if isinstance(value, Observation) else TOPICS.feedback
        self.next_offset += 1
        return InboundRecord(
            topic=topic,
            partition=0,
            offset=self.next_offset - 1,
            timestamp_ms=timestamp_ms,
            key=fields.get("key", MODEL.encode()),
            value=fields.get("value", msgspec.json.encode(value)),
        )

    async def observe(self, record: InboundRecord) -> None:
        """Hand the record to the agent as the process does: by the reader of the observations."""
        await ObservationReader(self.care, (*self.others, self.agent)).handle(record)

    async def feed(self, records: Iterable[InboundRecord]) -> None:
        for record in records:
            self.clock.time = max(self.clock.time, self.traffic.now)
            await self.observe(record)

    def entry(self) -> AnalysisEntry:
        return msgspec.msgpack.decode(self.entries[MODEL.encode()], type=AnalysisEntry)

    def status(self) -> str:
        state = self.stage.registry.state(MODEL)
        return (state.rollout or state.rollout_history[-1]).status
