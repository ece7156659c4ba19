"""From the fold to what people and dashboards read of rollouts."""

from msgspec import Struct

from hotswap_events.commands import Refusal
from hotswap_events.rollouts.record import RolloutRecord
from hotswap_events.rollouts.strategy import Arm
from hotswap_stream.application.registry.queries import Streams, unknown_model
from hotswap_stream.application.registry.rollout_record import rollout_record
from hotswap_stream.domain.rollouts.automatic import success_told
from hotswap_stream.domain.rollouts.refusals import accepted_rollout_steps
from hotswap_stream.domain.rollouts.traffic import traffic
from hotswap_stream.domain.state.model import ModelState


class TrafficSplit(Struct, frozen=True, kw_only=True):
    """Who gets which version. Weights and shares in 1/10,000."""

    arms: tuple[Arm, ...]
    shadows: tuple[str, ...]
    shadow_share: int
    fleet_share: int
    fleet_workers: tuple[str, ...]
    """In a fleet canary, the workers that answer with the candidate."""


class RolloutReport(Struct, frozen=True, kw_only=True):
    """What goes on in a model, and what may be asked of it."""

    model_name: str
    sequence: int
    rollout: RolloutRecord | None
    """The current one; none: all traffic goes to the active version."""
    on_success: str | None
    """What decides it, what that says nothing of, and what follows a success; null where nothing is left to decide."""
    legal: tuple[str, ...]
    traffic: TrafficSplit


class RolloutList(Struct, frozen=True, kw_only=True):
    """Rollouts of one model, newest first: the current one and the last that ended."""

    model_name: str
    rollouts: tuple[RolloutRecord, ...]
    rollouts_total: int
    """All there ever were; the log has them all."""


def find_rollout(streams: Streams, model_name: str) -> RolloutReport | Refusal:
    """Return the current rollout of a model, and how its traffic is split."""
    stream = streams.get(model_name)
    return unknown_model(streams, model_name) if stream is None else rollout_report(stream.state)


def rollout_report(state: ModelState) -> RolloutReport:
    """Return what goes on in a model, and what may be asked of it."""
    split = traffic(state)
    return RolloutReport(
        model_name=state.model_name,
        sequence=state.sequence,
        rollout=None if state.rollout is None else rollout_record(state.rollout),
        on_success=_on_success(state),
        legal=accepted_rollout_steps(state, state.rollout),
        traffic=TrafficSplit(
            arms=split.arms,
            shadows=split.shadows,
            shadow_share=split.shadow_share,
            fleet_share=0 if split.fleet is None else split.fleet.share,
            fleet_workers=() if split.fleet is None else split.fleet.workers,
        ),
    )


def _on_success(state: ModelState) -> str | None:
    rollout = state.rollout
    if rollout is None or rollout.status == "baking":
        return None
    return success_told(state, rollout.strategy, rollout.policy, rollout.candidates)


def list_rollouts(streams: Streams, model_name: str) -> RolloutList | Refusal:
    """Return the current rollout and the last 20 that ended."""
    stream = streams.get(model_name)
    if stream is None:
        return unknown_model(streams, model_name)
    state = stream.state
    current = () if state.rollout is None else (state.rollout,)
    return RolloutList(
        model_name=model_name,
        rollouts=tuple(map(rollout_record, (*current, *reversed(state.rollout_history)))),
        rollouts_total=state.rollouts_total,
    )


def named_rollout(state: ModelState, rollout_id: str) -> RolloutRecord | None:
    """Return the rollout of this name, while it is remembered."""
    for rollout in (state.rollout, *reversed(state.rollout_history)):
        if rollout is not None and rollout.rollout_id == rollout_id:
            return rollout_record(rollout)
    return None
