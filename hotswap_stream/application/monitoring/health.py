"""How a model does right now, for people: does it hurt, and why. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct

from hotswap_stream.application.inference.fleet import FleetWorker
from hotswap_stream.application.monitoring.answered import NO_VERSION
from hotswap_stream.application.monitoring.traffic import WINDOW_SECONDS, RecentSums
from hotswap_stream.application.observations.error_codes import ERRORS_OF_THE_SERVER
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.statistics.latency_histogram import quantile_ms

ERROR_RATE_MAX = 0.05
"""Above this share of requests that the server failed to answer, a model hurts."""
REQUESTS_MIN = 20
"""Requests in the window below which no share counts as one that hurts."""
REASONS_MAX = 20


class AnswersHealth(Struct, frozen=True, kw_only=True):
    """What was answered in the last minute, without shadows."""

    requests: int
    """All, with those answered by an error."""
    requests_per_second: float
    errors: int
    """Requests that the server failed to answer; mistakes of callers are not among them."""
    error_rate: float | None
    """Share of `errors` among the requests but for mistakes of callers; null without any."""
    mistakes: int
    """Requests answered with an error that the caller is to blame for, or because the model is switched off."""
    errors_by_code: dict[str, int]
    p50_ms: float | None
    """From the request's record timestamp to the end of its forward pass; at most 9 % too high. Null without any."""
    p95_ms: float | None
    compute_p95_ms: float | None
    """The 95th percentile of the forward passes alone."""


class VersionHealth(Struct, frozen=True, kw_only=True):
    """One version's part."""

    model_version: str
    answers: AnswersHealth


class ModelHealth(Struct, frozen=True, kw_only=True):
    """How one model does right now."""

    model_name: str
    hurts: bool
    reasons: tuple[str, ...]
    """Why it hurts, the worst first; at most 20."""
    active_version: str | None
    window_seconds: int
    answers: AnswersHealth
    versions: tuple[VersionHealth, ...]
    """Those that answered, or failed to, in the last minute."""
    live_workers: int | None
    """Null: the fleet is not known here."""
    silent_workers: int | None
    """Workers that were not heard of for ten seconds and did not say goodbye."""
    waiting: int | None
    """Requests that wait in the partitions of live workers."""


def model_health(
    state: ModelState, recent: Mapping[str, RecentSums], workers: Sequence[FleetWorker] | None
) -> ModelHealth:
    """Return how a model does.

    Args:
        state: The model, as the log says.
        recent: What its versions did in the last minute, by name.
        workers: Those that have the model, dead ones too for a while; None: not known.
    """
    together = RecentSums()
    for sums in recent.values():
        together.merge(sums)
    answers = answers_health(together)
    live = None if workers is None else [worker for worker in workers if worker.live]
    reasons = tuple(_reasons(state, answers, workers))[:REASONS_MAX]
    return ModelHealth(
        model_name=state.model_name,
        hurts=bool(reasons),
        reasons=reasons,
        active_version=state.active_version,
        window_seconds=WINDOW_SECONDS,
        answers=answers,
        versions=tuple(
            VersionHealth(model_version=name, answers=answers_health(sums))
            for name, sums in recent.items()
            if name != NO_VERSION
        ),
        live_workers=None if live is None else len(live),
        silent_workers=None if workers is None or live is None else len(workers) - len(live),
        waiting=None if live is None else sum(worker.waiting for worker in live),
    )


def answers_health(sums: RecentSums) -> AnswersHealth:
    """Return rate, errors and waits of the last minute."""
    errors = sum(sums.errors[code] for code in ERRORS_OF_THE_SERVER)
    mistakes = sums.errors.total() - errors
    judged = sums.answers + errors
    requests = judged + mistakes
    return AnswersHealth(
        requests=requests,
        requests_per_second=round(requests / WINDOW_SECONDS, 3),
        errors=errors,
        error_rate=errors / judged if judged else None,
        mistakes=mistakes,
        errors_by_code={code: count for code, count in sorted(sums.errors.items()) if count},
        p50_ms=_quantile(sums.total, 0.5),
        p95_ms=_quantile(sums.total, 0.95),
        compute_p95_ms=_quantile(sums.compute, 0.95),
    )


def _quantile(buckets: Counter[int], share: float) -> float | None:
    found = quantile_ms(buckets, share)
    return None if found is None else round(found, 4)


def _reasons(state: ModelState, answers: AnswersHealth, workers: Sequence[FleetWorker] | None) -> list[str]:
    found = [
        f"alert {alert.rule.name!r} is raised: {alert.rule.metric} was {alert.value:.4g}, "
        f"{'below' if alert.rule.falling else 'above'} {alert.rule.threshold:g}"
        for alert in state.alerts.raised.values()
        if alert.rule.severity == "critical"
    ]
    if state.active_version is None or state.serving.disabled:
        return found
    if answers.error_rate is not None and answers.error_rate > ERROR_RATE_MAX and answers.requests >= REQUESTS_MIN:
        codes = ", ".join(answers.errors_by_code)
        found.append(f"{answers.error_rate:.1%} of the requests of the last minute were not answered: {codes}")
    circuit = state.serving.circuits.get(state.active_version)
    if circuit is not None and circuit.position == "open":
        found.append(f"the circuit of version {state.active_version!r}, which is in production, is open")
    if workers is None:
        return found
    if not any(worker.live for worker in workers):
        found.append("no worker answers its requests")
    for worker in workers:
        if not worker.live:
            found.append(f"worker {worker.worker!r} fell silent {worker.silent_seconds:.0f} s ago")
        elif worker.trouble is not None:
            found.append(f"worker {worker.worker!r}: {worker.trouble}")
    return found
