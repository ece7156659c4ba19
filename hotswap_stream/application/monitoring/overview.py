"""All models in one look: what serves, what is being rolled out, and whether it hurts."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from hotswap_events.rollouts.record import RolloutRecord
from hotswap_stream.application.alerts.view import AlertView
from hotswap_stream.application.alerts.window import METRICS_OF_NOW
from hotswap_stream.application.inference.fleet import ModelFleet
from hotswap_stream.application.monitoring.health import ModelHealth
from hotswap_stream.application.registry.queries import ModelSummary
from hotswap_stream.application.rollouts.view import RolloutReport

Condition = Literal["hurts", "needs-you", "moves", "calm"]
CONDITIONS: tuple[Condition, ...] = ("hurts", "needs-you", "moves", "calm")
"""What somebody looks at first comes first."""


class ArmShown(Struct, frozen=True, kw_only=True):
    """One version that answers, and its share of the traffic in 1/10,000."""

    model_version: str
    weight: int


class ModelLine(Struct, frozen=True, kw_only=True):
    """One model."""

    model_name: str
    condition: Condition
    reasons: tuple[str, ...]
    """Why, the worst first; empty while it is calm."""
    try_next: str | None
    """The command that shows more, or that is waited for."""
    active_version: str | None
    arms: tuple[ArmShown, ...]
    """Who answers: one version, or those of a rollout."""
    rollout_id: str | None = None
    rollout_status: str | None = None
    requests_per_second: float | None = None
    """The rate in the last minute; null: not known."""
    p95_ms: float | None = None
    error_rate: float | None = None
    live_workers: int | None = None
    silent_workers: int | None = None
    waiting: int | None = None
    """Requests that wait."""


class Overview(Struct, frozen=True, kw_only=True):
    """All models, those that hurt first."""

    hurts: int
    needs_you: int
    moves: int
    calm: int
    requests_per_second: float | None
    """The rate of all models together; null: not known."""
    models: tuple[ModelLine, ...]


def overview(
    models: Iterable[ModelSummary],
    rollouts: Mapping[str, RolloutReport],
    alerts: Iterable[AlertView],
    health: Mapping[str, ModelHealth] | None,
    fleets: Mapping[str, ModelFleet] | None = None,
) -> Overview:
    """Return all models in one look.

    Args:
        models: All there are.
        rollouts: What goes on in each, by name.
        alerts: Those that are raised.
        health: What was answered in the last minute, by name; None: not known.
        fleets: The workers of each model, by name; None: not known.
    """
    raised: dict[str, list[AlertView]] = {}
    for alert in alerts:
        raised.setdefault(alert.model_name, []).append(alert)
    return together(
        model_line(
            model,
            rollouts.get(model.model_name),
            raised.get(model.model_name, []),
            None if health is None else health.get(model.model_name),
            None if fleets is None else fleets.get(model.model_name),
        )
        for model in models
    )


def together(found: Iterable[ModelLine]) -> Overview:
    """Return the lines in the order in which somebody looks at them, and what they come to."""
    lines = sorted(found, key=lambda line: (CONDITIONS.index(line.condition), line.model_name))
    counts = {condition: sum(line.condition == condition for line in lines) for condition in CONDITIONS}
    rates = [line.requests_per_second for line in lines if line.requests_per_second is not None]
    return Overview(
        hurts=counts["hurts"],
        needs_you=counts["needs-you"],
        moves=counts["moves"],
        calm=counts["calm"],
        requests_per_second=round(sum(rates), 3) if rates or not lines else None,
        models=tuple(lines),
    )


def model_line(
    model: ModelSummary,
    report: RolloutReport | None,
    alerts: Sequence[AlertView],
    health: ModelHealth | None,
    fleet: ModelFleet | None,
) -> ModelLine:
    """Return one model in one look, by the one rule of the page, of `status`, of `top` and of the API.

    It hurts where answers are wrong, late or missing: by a critical alert, an open circuit, or figures and workers as
    they are. A warning needs somebody who looks, until one acknowledges or snoozes it; it is no emergency.

    Args:
        model: The model.
        report: What goes on in it.
        alerts: Those of it that are raised.
        health: What was answered in the last minute; None: not known.
        fleet: Its workers; None: not known.
    """
    name = model.model_name
    rollout = None if report is None else report.rollout
    painful = _pains(model, alerts, health, fleet)
    watched = [_told(alert, model) for alert in alerts if alert.rule.severity != "critical" and not _cared_for(alert)]
    waits = None if report is None or rollout is None else _waits(rollout, report.legal)
    condition: Condition
    if painful:
        condition, reasons, then = "hurts", painful, _after_pain(model, alerts, rollout)
    elif model.disabled:
        condition, reasons, then = "needs-you", ["it is switched off"], f"hotswap-stream enable {name}"
    elif waits is not None:
        condition, reasons, then = "needs-you", [waits], f"hotswap-stream rollout show {name}"
    elif watched:
        condition, reasons, then = "needs-you", [], _after_warning(name, alerts)
    elif rollout is not None:
        condition, reasons, then = "moves", [_moving(rollout)], f"hotswap-stream rollout status {name} --watch"
    else:
        condition, reasons, then = "calm", [], None
    reasons = [*reasons, *(told for told in watched if told not in reasons)]
    split = () if report is None else tuple(arm for arm in report.traffic.arms if arm.weight)
    return ModelLine(
        model_name=name,
        condition=condition,
        reasons=tuple(reasons),
        try_next=then,
        active_version=model.active_version,
        arms=tuple(ArmShown(model_version=arm.model_version, weight=arm.weight) for arm in split),
        rollout_id=None if rollout is None else rollout.rollout_id,
        rollout_status=None if rollout is None else rollout.status,
        requests_per_second=None if health is None else health.answers.requests_per_second,
        p95_ms=None if health is None else health.answers.p95_ms,
        error_rate=None if health is None else health.answers.error_rate,
        live_workers=fleet.live_workers if fleet is not None else None if health is None else health.live_workers,
        silent_workers=None if health is None else health.silent_workers,
        waiting=None if health is None else health.waiting,
    )


def _pains(
    model: ModelSummary, alerts: Sequence[AlertView], health: ModelHealth | None, fleet: ModelFleet | None
) -> list[str]:
    found = [_told(alert, model) for alert in alerts if alert.rule.severity == "critical"]
    if model.active_version is not None and not model.disabled:
        if model.answered_by is None:
            found.insert(0, f"nothing answers: the circuit of {model.active_version} is open, and nothing stands in")
        elif model.answered_by != model.active_version:
            found.append(f"{model.answered_by} stands in for {model.active_version}")
        if fleet is not None and not fleet.live_workers:
            found.insert(0, "no worker is alive")
    if health is not None:
        found += [reason for reason in health.reasons if not reason.startswith("alert ") and reason not in found]
    return found


def _told(alert: AlertView, model: ModelSummary) -> str:
    of_another = "" if _of_the_active(alert, model) else f" (raised while {alert.model_version} was active)"
    return f"{alert.rule.severity}: {alert.summary}{of_another}"


def _of_the_active(alert: AlertView, model: ModelSummary) -> bool:
    """Whether the version that is in production now was so when the alert was raised; True where nobody knows."""
    return alert.model_version in (None, model.active_version)


def _cared_for(alert: AlertView) -> bool:
    """Whether somebody has this alert in hand: then it needs nobody else."""
    return alert.acknowledged is not None or alert.snoozed is not None


def _waits(rollout: RolloutRecord, legal: tuple[str, ...]) -> str | None:
    """Return what a rollout waits for, if it goes on only when somebody says so."""
    if rollout.status != "paused" and "resume" not in legal:
        return None
    cause = f" ({rollout.pause_cause})" if rollout.pause_cause else ""
    return f"{rollout.rollout_id} waits for a person{cause}"


def _moving(rollout: RolloutRecord) -> str:
    steps, at = getattr(rollout.strategy, "steps", ()), rollout.step_index
    step = "" if at is None or at >= len(steps) else f", step {at + 1} of {len(steps)}"
    return f"{rollout.rollout_id} {rollout.status}: {', '.join(rollout.candidates)}{step}"


def _after_warning(name: str, alerts: Sequence[AlertView]) -> str:
    """Return what shows more: where series are split and nothing else is, which they are."""
    if {alert.rule.metric for alert in alerts if not _cared_for(alert)} == {"split-series"}:
        return f"hotswap-stream windows {name}"
    return f"hotswap-stream alerts list --model {name}"


def _after_pain(model: ModelSummary, alerts: Sequence[AlertView], rollout: RolloutRecord | None) -> str:
    name = model.model_name
    if rollout is not None and rollout.status != "baking":
        return f"hotswap-stream rollout abort {name}"
    if model.answered_by != model.active_version:
        return f"hotswap-stream circuit show {name}"
    # What another version did is no reason to leave this one: it may be the one that somebody went back to.
    critical = [alert for alert in alerts if alert.rule.severity == "critical"]
    by_answers = [alert for alert in critical if alert.rule.metric not in METRICS_OF_NOW]
    if model.former_version is not None and any(_of_the_active(alert, model) for alert in by_answers):
        return f"hotswap-stream rollback {name} --from {model.active_version}"
    return f"hotswap-stream alerts list --model {name}" if by_answers else f"hotswap-stream fleet {name}"
