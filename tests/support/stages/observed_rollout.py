"""A rollout on the real broker whose observations are made up: seeded, and as many seconds of them as one likes."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

import msgspec

from hotswap_events.inference.observation import Observation
from hotswap_events.rollouts.commands import StartRollout
from hotswap_stream.application.rollouts.backtest.trial import RolloutTrial
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.state.rollout import AnalysisState, RolloutState
from tests.support.samples.observations import ObservedTraffic
from tests.support.samples.registry import MODEL, register, validate
from tests.support.stages.agents import AgentsStage


async def begin(stage: AgentsStage, command: StartRollout) -> ModelState:
    """v1 in production, v2 validated, and the rollout begun; the state behind it."""
    await stage.send(
        [
            register(command_id="c1"),
            validate("v1", command_id="c2", promote_first=True),
            register(command_id="c3"),
            validate("v2", 0.97, ("v1", 0.97), command_id="c4"),
            command,
        ]
    )
    results = await stage.results([command.command_id])
    assert results[command.command_id][0].status == "accepted", results
    return (await stage.fold()).state(MODEL)


def traffic_of(rollout: RolloutState, seed: int = 1) -> ObservedTraffic:
    """Begins a second behind the rollout, by its own time."""
    traffic = ObservedTraffic(seed=seed)
    traffic.now = rollout.started_at + timedelta(seconds=1)
    return traffic


def seconds(
    traffic: ObservedTraffic, count: int, rates: Mapping[str, float], weights: Mapping[str, int]
) -> list[Observation]:
    return [record for _second in range(count) for record in traffic.second(rates, weights)]


async def send(stage: AgentsStage, records: Iterable[Observation]) -> None:
    """Returns when the broker has them all."""
    sent = [
        await stage.producer.send(
            stage.topics.observations, msgspec.json.encode(record), key=record.model_name.encode()
        )
        for record in records
    ]
    for acknowledged in sent:
        await acknowledged


def expected(state: ModelState, records: Iterable[Observation]) -> tuple[list[tuple[Any, ...]], int]:
    """What a single process that nobody kills decides: outcome, step, evidence; and by how many records all of it."""
    trial, needed, decided = RolloutTrial(state), 0, len(analyses_of(state))
    for number, record in enumerate(records, start=1):
        trial.observe(record)
        if trial.state.sequence != state.sequence:
            state, needed = trial.state, number
    found = list(analyses_of(trial.state))[decided:]
    return [(analysis.outcome, analysis.step_index, analysis.evidence) for analysis in found], needed


def analyses_of(state: ModelState) -> tuple[AnalysisState, ...]:
    """Return the analyses of the rollout that is on, or of the last one."""
    rollout = state.rollout or state.rollout_history[-1]
    return rollout.analyses
