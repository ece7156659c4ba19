"""What a rollout's success leads to without a person: the promotion, or a wait for somebody's word.

A success rate counts answers, not right answers. So a promotion by itself needs a metric that looks at what the answers
say, or a policy that says that none is needed.
"""

from hotswap_events.rollouts.strategy import (
    AnalysisStep,
    FixedStrategy,
    MetricName,
    ProgressiveStrategy,
    RolloutPolicy,
    ShadowStrategy,
    Strategy,
)
from hotswap_stream.domain.deciding.decision import why_not_playable
from hotswap_stream.domain.deciding.legal_steps import legal_steps
from hotswap_stream.domain.deciding.live_metrics import FEEDBACK_METRICS
from hotswap_stream.domain.deciding.twins import failed_twin
from hotswap_stream.domain.state.model import ModelState

OF_CONTENT: frozenset[MetricName] = FEEDBACK_METRICS | {"agreement"}
"""Metrics that look at what an answer says; the others would not notice if all of them were wrong."""


def person_needed(
    state: ModelState, strategy: Strategy, policy: RolloutPolicy, model_version: str, *, by_person: bool = False
) -> str | None:
    """Return why the success of this version is not its promotion, as the end of a sentence; None: it is.

    With `by_person` the last step was left by somebody's word, and only what the version itself lacks holds it back.
    """
    version = state.versions[model_version]
    if not policy.auto_promote:
        return "the policy says so (auto_promote is false)"
    twin = failed_twin(state, version)
    known = f"has the artifact of {twin}, which failed validation" if twin else ""
    if "promote" not in legal_steps(state, version):
        return f"{model_version} {why_not_playable(version)}{f' and {known}' if known else ''}"
    if known:
        return f"{model_version} {known}"
    if by_person:
        return None
    if isinstance(strategy, ShadowStrategy) and not policy.promotes_after_shadow:
        return "a shadow ends in a report (promote_after_shadow: true promotes)"
    if not (policy.promotes_on_operational or looks_at_content(strategy, policy)):
        return (
            f"no metric says whether the answers of {model_version} are right "
            "(promote_on_operational: true does without one)"
        )
    return None


def looks_at_content(strategy: Strategy, policy: RolloutPolicy) -> bool:
    """Return whether a metric about what answers say decides in the last analysis, the one a promotion rests on."""
    named = {rule.metric for rule in policy.metrics} & OF_CONTENT
    if isinstance(strategy, ProgressiveStrategy):
        analyses = [step for step in strategy.steps if isinstance(step, AnalysisStep)]
        if not analyses:
            return False
        last = analyses[-1]
        return bool(named & set(last.metrics)) if last.metrics else bool(named)
    return bool(named)


def success_told(state: ModelState, strategy: Strategy, policy: RolloutPolicy, candidates: tuple[str, ...]) -> str:
    """Return for people what decides a rollout, what that says nothing of, and what follows a success."""
    metrics = tuple(rule.metric for rule in policy.metrics)
    decides = f"decided by {', '.join(metrics)}" if metrics else "decided by no metric"
    if metrics and not OF_CONTENT.intersection(metrics):
        decides += ", which would not notice if all answers were wrong"
    if isinstance(strategy, FixedStrategy) or not (metrics or isinstance(strategy, ProgressiveStrategy)):
        return f"{decides}; it has no success: a person promotes or aborts"
    reasons = {name: person_needed(state, strategy, policy, name) for name in candidates}
    waits = dict.fromkeys(reason for reason in reasons.values() if reason is not None)
    promoted = [name for name, reason in reasons.items() if reason is None]
    follows = [f"success promotes {' or '.join(promoted)}"] if promoted else []
    if waits:
        follows.append(f"success waits for a person: {'; '.join(waits)}")
    return "; ".join((decides, *follows))
