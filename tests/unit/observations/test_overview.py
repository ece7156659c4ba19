"""All models in one look: the order, the reasons and the next command."""

from datetime import UTC, datetime
from typing import Any, Literal

import pytest
from msgspec import structs

from hotswap_events.alerts.events import AlertRule
from hotswap_stream.application.alerts.view import AlertView, CareView, list_alerts
from hotswap_stream.application.inference.fleet import ModelFleet
from hotswap_stream.application.monitoring.health import AnswersHealth, ModelHealth
from hotswap_stream.application.monitoring.overview import ModelLine, overview
from hotswap_stream.application.registry.queries import ModelSummary


def model(name: str = "digits", **fields: Any) -> ModelSummary:
    facts: dict[str, Any] = {
        "model_name": name,
        "active_version": "v2",
        "former_version": "v1",
        "disabled": False,
        "answered_by": "v2",
        "alerts_raised": 0,
        "versions_total": 2,
        "versions_by_stage": {},
        "sequence": 1,
        "offset": 1,
    }
    return ModelSummary(**{**facts, **fields})


def health(name: str, *reasons: str, rate: float = 5.0) -> ModelHealth:
    answers = AnswersHealth(
        requests=300, requests_per_second=rate, errors=0, error_rate=0.0, mistakes=0, errors_by_code={}, p50_ms=1.0,
        p95_ms=2.0, compute_p95_ms=1.0,
    )  # fmt: skip
    return ModelHealth(
        model_name=name, hurts=bool(reasons), reasons=reasons, active_version="v2", window_seconds=60, answers=answers,
        versions=(), live_workers=1, silent_workers=0, waiting=0,
    )  # fmt: skip


HELD = CareView(actor="ada", at=datetime(2026, 1, 1, tzinfo=UTC), sequence=4)


def alert(
    severity: Literal["warning", "critical"], acknowledged: CareView | None = None, snoozed: CareView | None = None
) -> AlertView:
    rule = AlertRule(name="drift", metric="input-drift", above=0.15, severity=severity)
    return AlertView(
        model_name="digits", status="raised", summary="inputs drift", rule=rule, raised_sequence=3,
        raised_at=datetime(2026, 1, 1, tzinfo=UTC), value=0.3, count=100, figures={}, model_version="v2",
        acknowledged=acknowledged, snoozed=snoozed,
    )  # fmt: skip


def only(found: tuple[ModelLine, ...]) -> ModelLine:
    (line,) = found
    return line


def test_what_hurts_comes_first_and_all_is_counted() -> None:
    models = [model("calm"), model("off", disabled=True, answered_by=None), model("hurt", answered_by=None)]
    found = overview(models, {}, (), {each.model_name: health(each.model_name) for each in models})
    assert [(line.model_name, line.condition) for line in found.models] == [
        ("hurt", "hurts"), ("off", "needs-you"), ("calm", "calm"),
    ]  # fmt: skip
    assert (found.hurts, found.needs_you, found.moves, found.calm) == (1, 1, 0, 1)
    assert found.requests_per_second == 15.0
    assert found.models[1].try_next == "hotswap-stream enable off"
    assert found.models[2].try_next is None


@pytest.mark.parametrize(
    ("fields", "reason", "try_next"),
    [
        ({"answered_by": None}, "nothing answers", "hotswap-stream circuit show digits"),
        ({"answered_by": "v1"}, "v1 stands in for v2", "hotswap-stream circuit show digits"),
    ],
)
def test_open_circuits_hurt(fields: dict[str, Any], reason: str, try_next: str) -> None:
    line = only(overview([model(**fields)], {}, (), None).models)
    assert line.condition == "hurts"
    assert reason in line.reasons[0]
    assert line.try_next == try_next


def test_figures_and_workers_hurt() -> None:
    by_figures = only(overview([model()], {}, (), {"digits": health("digits", "3.0% of the requests …")}).models)
    assert (by_figures.condition, by_figures.reasons) == ("hurts", ("3.0% of the requests …",))
    alone = ModelFleet(
        model_name="digits", active_version="v2", active_registry_offset=1, live_workers=0, serving_active_workers=0,
        whole_fleet_serves_active=False, workers=(),
    )  # fmt: skip
    by_fleet = only(overview([model()], {}, (), None, {"digits": alone}).models)
    assert (by_fleet.reasons, by_fleet.try_next) == (("no worker is alive",), "hotswap-stream fleet digits")


@pytest.mark.parametrize(
    ("severity", "care", "condition", "try_next"),
    [
        ("critical", {}, "hurts", "hotswap-stream rollback digits --from v2"),
        ("critical", {"acknowledged": HELD}, "hurts", "hotswap-stream rollback digits --from v2"),
        ("warning", {}, "needs-you", "hotswap-stream alerts list --model digits"),
        ("warning", {"acknowledged": HELD}, "calm", None),
        ("warning", {"snoozed": HELD}, "calm", None),
    ],
)
def test_a_warning_needs_somebody_and_only_what_is_critical_hurts(
    severity: Literal["warning", "critical"], care: dict[str, CareView], condition: str, try_next: str | None
) -> None:
    line = only(overview([model()], {}, [alert(severity, **care)], None).models)
    assert (line.condition, line.try_next) == (condition, try_next)
    assert line.reasons == (() if condition == "calm" else (f"{severity}: inputs drift",))


def test_what_another_version_did_is_no_reason_to_leave_this_one() -> None:
    """Somebody rolled back, and the alert is not over yet: the healthy version must not go, too."""
    before = structs.replace(alert("critical"), model_version="v3")
    line = only(overview([model()], {}, [before], None).models)
    assert (line.condition, line.try_next) == ("hurts", "hotswap-stream alerts list --model digits")
    assert line.reasons == ("critical: inputs drift (raised while v3 was active)",)
    both = only(overview([model()], {}, [before, alert("critical")], None).models)
    assert both.try_next == "hotswap-stream rollback digits --from v2"
    waiting = structs.replace(
        alert("critical"), rule=AlertRule(name="lag", metric="lag", above=1.0, severity="critical")
    )
    assert only(overview([model()], {}, [waiting], None).models).try_next == "hotswap-stream fleet digits"


def test_a_warning_is_told_beside_what_is_worse() -> None:
    line = only(overview([model(answered_by="v1")], {}, [alert("warning")], None).models)
    assert (line.condition, line.reasons) == ("hurts", ("v1 stands in for v2", "warning: inputs drift"))


def test_nothing_is_known_without_figures() -> None:
    found = overview([model()], {}, list_alerts({}).alerts, None)
    assert found.requests_per_second is None
    assert only(found.models).p95_ms is None
    assert overview([], {}, (), None).models == ()
