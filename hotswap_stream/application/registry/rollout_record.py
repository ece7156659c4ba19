"""From the fold to what others read of one rollout."""

from hotswap_events.rollouts.record import RolloutAnalysis, RolloutRecord
from hotswap_stream.domain.state.rollout import RolloutState


def rollout_record(rollout: RolloutState, *, analyses_max: int | None = None) -> RolloutRecord:
    """Return one rollout as others read it, with the last `analyses_max` analyses; None: all that are kept."""
    analyses = rollout.analyses if analyses_max is None else rollout.analyses[-analyses_max:]
    return RolloutRecord(
        rollout_id=rollout.rollout_id,
        status=rollout.status,
        strategy=rollout.strategy,
        policy=rollout.policy,
        baseline_version=rollout.baseline_version,
        candidates=rollout.candidates,
        arms=rollout.arms,
        salt=rollout.salt,
        started_at=rollout.started_at,
        started_sequence=rollout.started_sequence,
        phase_started_at=rollout.phase_started_at,
        forced=rollout.forced,
        step_index=rollout.step_index,
        pause_cause=rollout.pause_cause,
        promoted_version=rollout.promoted_version,
        analyses=tuple(
            RolloutAnalysis(
                outcome=analysis.outcome,
                watermark=analysis.watermark,
                sequence=analysis.sequence,
                recorded_at=analysis.recorded_at,
                step_index=analysis.step_index,
                model_version=analysis.model_version,
                evidence=analysis.evidence,
            )
            for analysis in analyses
        ),
        ended_at=rollout.ended_at,
        ended_sequence=rollout.ended_sequence,
    )
