"""Live data against a profile: shifted, not shifted, too few, nothing to compare with; whatever else may be read."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from hotswap_events.commands import Refusal
from hotswap_events.inference.observation import Feedback, Observation
from hotswap_events.registry.profile import ModelProfiled
from hotswap_stream.application.drift import report as module
from hotswap_stream.application.drift.plot import drift_svg
from hotswap_stream.application.drift.report import DriftReport, drift_report
from hotswap_stream.application.observations.history import Recorded, TooManyRecordsError
from hotswap_stream.application.registry.fold import RegistryFold
from tests.support.samples.observations import BEGIN, ObservedTraffic
from tests.support.samples.profiles import profiled, sketch_of
from tests.support.samples.registry import MODEL, LogBuilder, promoted, trained, validated

SINCE = BEGIN - timedelta(hours=1)
RANDOM = np.random.default_rng(7)


def normal(count: int, mean: float = 0.0) -> str:
    return sketch_of((RANDOM.normal(size=count) + mean).tolist())


PROFILE = profiled("v1", sketches={"input": normal(5_000), "input.2": normal(5_000), "score": normal(5_000, 3.0)})


class History:
    """A RecordedHistory of what it is given."""

    def __init__(self, *values: Observation | Feedback) -> None:
        self._values = values

    async def read(self, model_name: str, since: Any, until: Any) -> AsyncIterator[Recorded]:
        assert (model_name, since, until) == (MODEL, SINCE, None)
        for value in self._values:
            yield Recorded(BEGIN, value)


def streams(profile: ModelProfiled | None = PROFILE, *, active: bool = True) -> Any:
    log = LogBuilder().append(trained("v1"))
    if profile is not None:
        log.append(profile)
    if active:
        log.append(validated("v1"), promoted("v1"))
    fold = RegistryFold()
    for record in log.records:
        fold.apply(record)
    return fold.streams


async def report(*records: Observation, profile: ModelProfiled | None = PROFILE, **options: Any) -> DriftReport:
    found = await drift_report(streams(profile), MODEL, History(*records), since=SINCE, **options)
    assert isinstance(found, DriftReport), found
    return found


def observed(count: int = 100, *, seconds: int = 10, mean: float = 0.0, **fields: Any) -> list[Observation]:
    traffic = ObservedTraffic()
    return [
        traffic.record("v1", rows=count, sketches={"input": normal(count, mean), "score": normal(count, 3.0)}, **fields)
        for _second in range(seconds)
    ]


async def test_the_same_data_show_no_shift() -> None:
    found = await report(*observed())
    assert (found.verdict, found.records, found.rows, found.unreadable) == ("none", 10, 1_000, 0)
    assert [(each.name, each.verdict, each.live_count) for each in found.distributions] == [
        ("input", "none", 1_000),
        ("input.2", "too-few", 0),
        ("score", "none", 1_000),
    ]
    assert found.profile_source == "digits-train"


async def test_a_shift_is_seen_in_what_has_shifted() -> None:
    found = await report(*observed(mean=0.5))
    assert found.verdict == "shift"
    by_name = {each.name: each for each in found.distributions}
    assert (by_name["input"].verdict, by_name["score"].verdict) == ("shift", "none")
    shifted = by_name["input"]
    assert shifted.distance is not None
    assert shifted.limit is not None
    # Two normal distributions half a deviation apart: 2 Φ(1/4) − 1
    assert shifted.distance == pytest.approx(0.197, abs=0.06)
    assert shifted.distance > shifted.limit
    assert shifted.live is not None
    assert shifted.training is not None
    assert shifted.live.p50 - shifted.training.p50 == pytest.approx(0.5, abs=0.15)
    assert shifted.live.p05 < shifted.live.p25 < shifted.live.p50 < shifted.live.p75 < shifted.live.p95


async def test_a_shift_that_nobody_minds() -> None:
    assert (await report(*observed(mean=0.5), tolerance=0.3)).verdict == "none"
    with pytest.raises(ValueError, match="tolerance is 1"):
        await report(tolerance=1.0)


async def test_too_few_rows() -> None:
    assert (await report(*observed(5, seconds=9))).verdict == "too-few"
    assert (await report()).verdict == "too-few"


async def test_without_a_profile_the_live_data_are_shown_all_the_same() -> None:
    found = await report(*observed(), profile=None)
    assert (found.verdict, found.profile_rows, found.profile_source) == ("no-profile", 0, None)
    assert [(each.name, each.verdict) for each in found.distributions] == [
        ("input", "no-profile"),
        ("score", "no-profile"),
    ]
    assert found.distributions[0].live is not None


async def test_what_counts_as_live() -> None:
    traffic = ObservedTraffic()
    traffic_of_others = [
        traffic.record("v1", role="pinned", rows=9, sketches={"input": normal(9)}),
        traffic.record("v2", rows=9, sketches={"input": normal(9)}),
    ]
    once = traffic.record("v1", rows=7, sketches={"input": normal(7)})
    feedback = Feedback(model_name=MODEL, feedback_id="f", at=BEGIN, request_id="r", label=1)
    found = await report(*traffic_of_others, once, once, feedback)  # type: ignore[arg-type]
    assert (found.records, found.rows) == (1, 7)


async def test_sketches_that_are_none_are_counted_and_passed_over() -> None:
    bad = ObservedTraffic(worker="w2").record("v1", rows=1, sketches={"input": "AAAA", "score": normal(100, 3.0)})
    worse = ObservedTraffic(worker="w3").record("v1", rows=1, sketches={f"input.{number}": "!" for number in range(40)})
    broken = profiled("v1", sketches={"input": "AAAA", "score": normal(5_000, 3.0)})
    found = await report(bad, worse, *observed(), profile=broken)
    assert found.unreadable == 42
    assert {each.name: each.verdict for each in found.distributions} == {"input": "no-profile", "score": "none"}


async def test_a_version_that_is_not_there() -> None:
    async def refused(name: str, version: str | None, *, active: bool = True) -> Refusal:
        found = await drift_report(streams(active=active), name, History(), since=SINCE, model_version=version)
        assert isinstance(found, Refusal)
        return found

    assert (await refused("nobody", None)).code == "unknown-model"
    assert (await refused(MODEL, "v9")).code == "unknown-version"
    assert (await refused(MODEL, None, active=False)).code == "illegal-step"


async def test_too_many_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RECORDS_MAX", 100)
    with pytest.raises(TooManyRecordsError, match="more than 100 observations of 'v1'"):
        await report(*observed(1, seconds=101))


@pytest.mark.slow
async def test_false_alarms_are_rare() -> None:
    """At 1 % a report: of 200 reports of data that have not shifted, with three looks each, hardly one."""
    shifts = 0
    for _trial in range(200):
        profile = profiled("v1", sketches={"input": normal(300), "score": normal(300, 3.0)})
        shifts += (await report(*observed(100, seconds=3), profile=profile)).verdict == "shift"
    assert shifts <= 6


async def test_the_picture_is_a_picture() -> None:
    for found in (await report(*observed(mean=0.5)), await report(profile=None), await report(*observed())):
        root = ElementTree.fromstring(drift_svg(found))  # noqa: S314  # ours
        assert root.tag.endswith("svg")
    said = "".join(root.itertext())
    assert "no shift is shown" in said
    assert "training (5,000)" in said
