"""A rollout's evidence: the picture has the API's figures, and so has the event that the agents decide by it."""

import asyncio
import re
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from playwright.sync_api import Locator, Page, expect

from hotswap_events.inference.observation import Observation
from hotswap_events.topics import Topics
from tests.support.browser.faults import Faults, NewPage
from tests.support.browser.stack import BrowserStack
from tests.support.samples.observations import ObservedTraffic

MODEL = "weighed"
SPLIT = {"v1": 5_000, "v2": 5_000}
RATES = {"v1": 0.97, "v2": 0.96}
ANSWERS_A_SECOND = 200
"""Answers of each version."""
SECONDS_BEFORE = 6
LIMIT = 0.05
METRICS = {
    # A share of good answers, and one of slow ones, which is drawn the other way round.
    "success-rate": {"metric": "success-rate", "margin": LIMIT},
    "latency": {"metric": "latency", "margin": LIMIT, "slow_ms": 50.0},
}
NAMES = {"success-rate": "success rate", "latency": "slow answers"}
FIGURES = ("metric", "model_version", "count", "value", "baseline_count", "baseline_value", "lower", "upper")

SECONDS_MAX = 120.0

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def agents(stack: BrowserStack) -> Iterator[BrowserStack]:
    """The stack with its agents, who decide."""
    stack.start("agents")
    yield stack
    stack.end("agents")


def send(stack: BrowserStack, records: Iterable[Observation]) -> None:
    """What a worker would say of its answers; returns when the broker has it."""

    async def sent() -> None:
        async with AIOKafkaProducer(bootstrap_servers=stack.kafka) as producer:
            for record in records:
                value = msgspec.json.encode(record)
                await producer.send_and_wait(Topics(stack.prefix).observations, value, key=MODEL.encode())

    # Playwright has a loop of its own in this thread.
    with ThreadPoolExecutor(1) as aside:
        aside.submit(lambda: asyncio.run(sent())).result()


def points(value: float) -> str:
    """A difference of shares as the page writes it: in points of a hundred, two digits at most, with its sign."""
    text = f"{abs(value * 100):.2f}".rstrip("0").rstrip(".")
    return "0" if text == "0" else f"{'−' if value < 0 else '+'}{text}"


def panel(page: Page, name: str) -> Locator:
    return page.locator(".metrics .panel", has=page.get_by_role("heading", name=re.compile(f"^{name}")))


def drawn(panel_of_metric: Locator) -> dict[str, float]:
    """What the picture shows, read off its lines by the marks of its axis."""
    found: dict[str, Any] = panel_of_metric.locator("svg.funnel").evaluate(
        """(svg) => ({
          ticks: [...svg.querySelectorAll('g.tick')].map((tick) =>
            [tick.querySelector('text').textContent.trim(), +tick.querySelector('line').getAttribute('y1')]),
          top: +svg.querySelector('g.end line').getAttribute('y1'),
          foot: +svg.querySelector('g.end line').getAttribute('y2'),
          dot: +svg.querySelector('g.end circle').getAttribute('cy'),
          limit: +svg.querySelector('g.limit line').getAttribute('y1'),
          arrows: svg.querySelectorAll('path.arrow').length,
        })"""
    )
    assert found["arrows"] == 0, "an end of the interval is outside of the picture"
    marks = [(float(text.replace("−", "-")) / 100, y) for text, y in found["ticks"]]
    (low, at_low), (high, at_high) = marks[0], marks[-1]
    scale = (high - low) / (at_high - at_low)
    places = {"lower": "foot", "upper": "top", "estimate": "dot", "limit": "limit"}
    return {name: low + (found[place] - at_low) * scale for name, place in places.items()}


def told(stack: BrowserStack, answers: int) -> dict[str, dict[str, Any]]:
    """What the API says of each metric once that number of the candidate's answers is counted."""
    deadline = time.monotonic() + SECONDS_MAX
    while True:
        latest = stack.get(f"/api/models/{MODEL}/rollout/evidence")["latest"]
        if len(latest) == len(METRICS) and all(record.get("answers") == answers for record in latest):
            return {record["metric"]: record for record in latest}
        assert time.monotonic() < deadline, latest
        time.sleep(0.1)


def assert_drawn(page: Page, metric: str, said: dict[str, Any]) -> None:
    """The picture, the sentence, the table and the verdict of a metric have these figures."""
    place = panel(page, NAMES[metric])
    lower, upper, about = (points(said[figure]) for figure in ("lower", "upper", "estimate"))
    expect(place.locator("svg.funnel desc")).to_contain_text(
        f"between {lower} and {upper}, about {about}, after {said['count']} answers; "
        f"the limit is {points(said['limit'])}."
    )
    expect(place).to_contain_text(f"v2 is between {lower} and {upper} points of v1")
    expect(place).to_contain_text(f"{said['count']:,} answers of v2, {said['baseline_count']:,} of v1")
    newest = place.locator("tbody tr").first
    assert newest.locator("td.n").all_text_contents() == [f"{said['count']:,}", lower, about, upper]
    expect(place.locator(".badge")).to_contain_text(said["verdict"])
    shown = drawn(place)
    assert shown == pytest.approx({figure: said[figure] for figure in shown}, abs=1e-9)


def test_the_picture_has_the_figures_of_the_api_and_of_the_decision(
    new_page: NewPage, agents: BrowserStack, faults: Faults
) -> None:
    stack = agents
    stack.in_production(MODEL)
    stack.registered(MODEL)
    policy = {
        "metrics": list(METRICS.values()),
        # The last answer of the second part is the last of the budget.
        "answers_max": ANSWERS_A_SECOND * (SECONDS_BEFORE + 1),
        "answers_min": ANSWERS_A_SECOND * 100,
    }
    started = {"candidates": ["v2"], "strategy": {"kind": "canary", "weight": 5_000}, "policy": policy, "forced": True}
    stack.post(f"/api/models/{MODEL}/rollout", started)
    rollout = stack.get(f"/api/models/{MODEL}/rollout")["rollout"]
    traffic = ObservedTraffic(answers_a_second=2 * ANSWERS_A_SECOND)
    traffic.now = datetime.fromisoformat(rollout["started_at"]) + timedelta(seconds=1)

    def seconds(count: int) -> list[Observation]:
        made = (traffic.second(RATES, SPLIT, rollout_id=rollout["rollout_id"]) for _ in range(count))
        return [msgspec.structs.replace(record, model_name=MODEL) for second in made for record in second]

    page = new_page(f"#/rollout/{MODEL}")
    (begun,) = stack.get("/api/events", type="hotswap.rollout.started.v1", model_name=MODEL)["events"]
    expect(page.locator(".ranges rect.going")).to_have_attribute("data-from", str(begun["offset"]))
    expect(page.get_by_text("Nothing was measured in this step yet")).to_be_visible()
    send(stack, seconds(SECONDS_BEFORE))
    for metric, said in told(stack, ANSWERS_A_SECOND * SECONDS_BEFORE).items():
        assert said["verdict"] == "undecided"
        assert_drawn(page, metric, said)

    send(stack, seconds(1))
    expect(page.locator(".badge", has_text="paused")).to_be_visible()
    (event,) = stack.get("/api/events", type="analysis-recorded", model_name=MODEL)["events"]
    decided = {one["metric"]: one for one in event["event"]["data"]["evidence"]}
    assert event["event"]["data"]["outcome"] == "inconclusive"
    for metric, said in told(stack, ANSWERS_A_SECOND * (SECONDS_BEFORE + 1)).items():
        assert_drawn(page, metric, said)
        assert {name: said.get(name) for name in FIGURES} == {name: decided[metric].get(name) for name in FIGURES}
    # Its stroke on the time bar ends with it.
    stack.post(f"/api/models/{MODEL}/rollout/abort")
    (ended,) = stack.get("/api/events", type="hotswap.rollout.completed.v1", model_name=MODEL)["events"]
    expect(page.locator(f".ranges rect[data-from='{begun['offset']}']")).to_have_attribute(
        "data-to", str(ended["offset"])
    )
    # The page of that moment draws what was recorded.
    page.goto(f"/#/rollout/{MODEL}?as_of={event['offset']}")
    for metric, one in decided.items():
        expect(panel(page, NAMES[metric])).to_contain_text("as recorded")
        expect(panel(page, NAMES[metric]).locator("desc")).to_contain_text(
            f"between {points(one['lower'])} and {points(one['upper'])}"
        )
    assert faults.found == []
