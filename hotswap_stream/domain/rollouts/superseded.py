"""A version in play that is changed by hand ends its rollout, in the same decision."""

from hotswap_events.registry.events import ArtifactDeleted, ModelArchived, ModelPromoted, ModelRolledBack, RegistryEvent
from hotswap_events.rollouts.events import RolloutBakeEnded, RolloutCompleted
from hotswap_stream.domain.deciding.decision import Accepted, Decision
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.state.rollout import RolloutState, versions_of


def ending_rollout(state: ModelState, decision: Decision) -> Decision:
    """Return the decision; where the current rollout could not go on after it, with the rollout's end before it."""
    rollout = state.rollout
    if rollout is None or not isinstance(decision, Accepted):
        return decision
    ends_it = any(isinstance(event, RolloutCompleted | RolloutBakeEnded) for event in decision.events)
    if ends_it or not any(_takes_away(event, rollout) for event in decision.events):
        return decision
    if rollout.status != "baking":
        end: RegistryEvent = RolloutCompleted(rollout_id=rollout.rollout_id, outcome="superseded")
    elif any(isinstance(event, ModelRolledBack) for event in decision.events):
        end = RolloutBakeEnded(rollout_id=rollout.rollout_id, outcome="rolled-back")
    else:
        end = RolloutBakeEnded(rollout_id=rollout.rollout_id, outcome="superseded")
    return Accepted((end, *decision.events), decision.note)


def _takes_away(event: RegistryEvent, rollout: RolloutState) -> bool:
    if isinstance(event, ModelPromoted | ModelRolledBack):
        return True
    return isinstance(event, ModelArchived | ArtifactDeleted) and event.model_version in versions_of(rollout)
