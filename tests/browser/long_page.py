"""Cases that take longer: every control, the past, long logs, hours of frames, the keyboard alone, many tabs."""

import asyncio
import json
import re
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from playwright.sync_api import Browser, Page, expect

from hotswap_events.topics import Topics
from tests.support.browser.axe import found_by_axe
from tests.support.browser.faults import Faults, NewPage
from tests.support.browser.pages import PAGES, settled
from tests.support.browser.stack import BrowserStack, browser_stack

RECORDS = 20_000
ROWS_MAX = 200
TABS = 7
FRAMES = 3_600
HOURS_BEFORE = 3
HEAP_SHARE_MAX = 0.10

pytestmark = pytest.mark.timeout(300)


def press(page: Page, stack: BrowserStack, button: str, *, within: str | None = None) -> list[str]:
    """Press a button of the page, confirm with a reason, and return the types of the events that came of it."""
    before = stack.get("/api/events", last=1)["end_offset"]
    # What others have done meanwhile has arrived: a command on what was before is refused.
    steps = stack.get(f"/api/models/{page.get_by_role('heading', level=1).inner_text()}/steps")
    expect(page.locator("[data-sequence]")).to_have_attribute("data-sequence", str(steps["sequence"]))
    row = page.locator("tr", has=page.locator("strong", has_text=re.compile(rf"^{within}$")))
    place = row if within else page.get_by_role("main")
    place.get_by_role("button", name=re.compile(rf"^{button}")).first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill(f"test of {button}")
    dialog.locator("button[type=submit]").click()
    expect(dialog).to_be_hidden()
    found: list[dict[str, Any]] = stack.get("/api/events", from_offset=before)["events"]
    assert all(one["event"]["actor"] == "ada" for one in found)
    assert found[0]["event"]["reason"] == f"test of {button}"
    return [one["event"]["type"].split(".")[2] for one in found]


def validated(stack: BrowserStack, model: str) -> str:
    """One more version that has passed validation."""
    version = stack.registered(model)
    active = stack.get(f"/api/models/{model}").get("active_version")
    baseline = {"baseline_version": active, "baseline_figures": {"accuracy": 0.9}} if active else {}
    body = {"figures": {"accuracy": 0.95}, "validation_set": f"sha256:{'b' * 64}", **baseline}
    stack.post(f"/api/models/{model}/versions/{version}/validate", body)
    return version


def test_each_control_makes_the_event_that_it_says(new_page: NewPage, stack: BrowserStack, faults: Faults) -> None:
    model = "controls"
    first = validated(stack, model)
    page = new_page(f"#/models/{model}")
    assert press(page, stack, "Promote", within=first) == ["promoted"]
    second = validated(stack, model)
    assert press(page, stack, "Shadow", within=second) == ["started"]
    assert press(page, stack, "Cancel")[0] == "completed"
    assert press(page, stack, "Roll out", within=validated(stack, model))[0] == "started"
    assert press(page, stack, "Pause") == ["paused"]
    assert press(page, stack, "Resume") == ["resumed"]
    assert press(page, stack, "Abort")[0] == "completed"
    assert press(page, stack, "Activate", within=validated(stack, model)) == ["promoted"]
    assert press(page, stack, "Roll back") == ["rolled-back"]
    assert press(page, stack, "Switch off") == ["disabled"]
    assert press(page, stack, "Switch on") == ["enabled"]
    third = validated(stack, model)
    assert press(page, stack, "Reload") == ["promoted"]
    assert stack.get(f"/api/models/{model}")["active_version"] == third
    assert faults.found == []


def test_a_command_on_an_old_reading_is_refused_and_says_who_was_first(new_page: NewPage, stack: BrowserStack) -> None:
    model = "raced"
    for _ in range(2):
        stack.in_production(model)
    page = new_page(f"#/models/{model}")
    page.get_by_role("button", name=re.compile("^Switch off")).click()
    dialog = page.get_by_role("dialog")
    stack.post(f"/api/models/{model}/rollback", {"reason": "somebody was first"})
    dialog.locator("button[type=submit]").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Changed since you looked")
    expect(dialog.get_by_role("alert")).to_contain_text("rolled")
    assert not stack.get(f"/api/models/{model}").get("disabled")


def test_the_page_of_a_moment_is_what_the_audit_shows_of_it(new_page: NewPage, stack: BrowserStack) -> None:
    model = "moments"
    for _ in range(3):
        stack.in_production(model)
    end = stack.get("/api/events", last=1)["end_offset"]
    page = new_page()
    for offset in range(end - 6, end):
        shown = json.loads(stack.command("audit", "show", "--as-of", str(offset), "-o", "json"))
        by_audit = {one["model_name"]: one.get("active_version") or "nothing" for one in shown}
        page.goto("about:blank")
        page.goto(f"/#/?as_of={offset}")
        expect(page.get_by_role("heading", name=f"at offset {offset}")).to_be_visible()
        settled(page)
        rows = page.locator("table").first.locator("tbody tr").all_inner_texts()
        by_page = {cells[0].strip(): cells[1].strip() for cells in (row.split("\t") for row in rows)}
        assert by_page == by_audit
        assert page.get_by_role("button", name=re.compile("Roll back|Promote")).count() == 0


def test_seven_tabs_of_one_browser_load(browser: Browser, new_page: NewPage) -> None:
    """A browser gives a host six connections: a tab that nobody looks at must hold none."""
    tabs = [new_page()]
    context = tabs[0].context
    expect(tabs[0].get_by_role("link", name="digits")).to_be_visible()
    for _ in range(TABS - 1):
        # Without a window, a browser says that all of its tabs are visible.
        tabs[-1].evaluate(
            """() => {
              Object.defineProperty(document, 'visibilityState', {value: 'hidden', configurable: true});
              document.dispatchEvent(new Event('visibilitychange'));
            }"""
        )
        tabs.append(context.new_page())
        tabs[-1].goto("/#/")
        expect(tabs[-1].get_by_role("link", name="digits")).to_be_visible()
    expect(tabs[0].get_by_text("paused")).to_be_visible()


def reached(page: Page) -> set[str]:
    """Press Tab until the focus comes round, and return what had it and was seen to."""
    found: set[str] = set()
    for _ in range(300):
        page.keyboard.press("Tab")
        here = page.evaluate(
            """() => {
              const one = document.activeElement;
              if (!one || one === document.body) return null;
              const style = getComputedStyle(one);
              one.dataset.reached = style.outlineStyle !== 'none' || one.type === 'range' ? 'seen' : 'unseen';
              return one.dataset.reached;
            }"""
        )
        if here is None and found:
            break
        found.add(here or "")
    return found


@pytest.mark.parametrize("path", PAGES)
def test_the_keyboard_alone_reaches_every_control(new_page: NewPage, path: str) -> None:
    page = new_page(f"#/{path}")
    settled(page)
    assert "unseen" not in reached(page)
    missed = page.evaluate(
        """() => [...document.querySelectorAll('a[href], button, input, select, [tabindex="0"]')]
          .filter((one) => one.offsetParent !== null && !one.disabled && !one.dataset.reached)
          .map((one) => one.outerHTML.slice(0, 120))"""
    )
    assert missed == []


def test_keys_lead_to_every_page_and_confirm_a_command(new_page: NewPage, stack: BrowserStack) -> None:
    for _ in range(2):
        stack.in_production("keyed")
    page = new_page()
    settled(page)
    for key, heading in (
        ("e", "Events"),
        ("a", "Why this answer"),
        ("f", "Fleet"),
        ("t", "Training"),
        ("o", "Overview"),
    ):
        page.keyboard.press("g")
        page.keyboard.press(key)
        expect(page.get_by_role("heading", level=1, name=heading)).to_be_visible()
    page.goto("/#/models/keyed")
    settled(page)
    expect(page.get_by_role("button", name=re.compile("^Roll back"))).to_be_visible()
    page.keyboard.press("b")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_hidden()
    last = stack.get("/api/events", last=1)["events"][0]["event"]
    assert (last["type"], last["subject"]) == ("hotswap.model.rolled-back.v1", "keyed")


def test_an_hour_of_frames_leaves_the_heap_as_it_was(new_page: NewPage, stack: BrowserStack) -> None:
    """The messages of an hour, as fast as the page takes them.

    After those of some hours before: until then the browser compiles what is run often, which takes heap, too.
    """
    page = new_page()
    settled(page)
    page.add_init_script(
        """window.sources = [];
        window.EventSource = class {
          constructor() { this.on = {}; window.sources.push(this); }
          addEventListener(kind, run) { this.on[kind] = run; }
          close() {}
        };"""
    )
    beginning = stack.first_message()
    page.reload()
    while not page.evaluate("window.sources.length"):
        page.wait_for_timeout(20)
    session = page.context.new_cdp_session(page)

    def fed(first: int, count: int) -> None:
        page.evaluate(
            """async ([beginning, first, count]) => {
              const source = window.sources.at(-1);
              const say = (kind, data) => source.on[kind]?.({data: JSON.stringify(data)});
              say('beginning', beginning);
              for (let at = first; at < first + count; at += 1) {
                const time = new Date(1.8e12 + at * 1000).toISOString();
                const data = {at, text: 'x'.repeat(500)};
                const event = {type: 'hotswap.model.tagged.v1', subject: 'digits', actor: 'x', data};
                say('event', {offset: 1e6 + at, appended_at: time, event});
                say('heartbeat', {at: time, offset: 1e6 + at, behind_by: 0});
                if (at % 20 === 0) await new Promise((resolve) => setTimeout(resolve));
              }
            }""",
            [beginning, first, count],
        )
        # What came within a few milliseconds is drawn together.
        expect(page.get_by_text(f"offset {1_000_000 + first + count - 1}").first).to_be_visible()

    def heap() -> int:
        session.send("HeapProfiler.collectGarbage")
        return int(session.send("Runtime.getHeapUsage")["usedSize"])

    for hour in range(HOURS_BEFORE):
        fed(hour * FRAMES, FRAMES)
    before = heap()
    fed(HOURS_BEFORE * FRAMES, FRAMES)
    after = heap()
    assert abs(after - before) <= HEAP_SHARE_MAX * before, (before, after)


def older(page: Page) -> None:
    """Follow the link to the page before."""
    page.goto(f"/{page.get_by_role('link', name='Older').get_attribute('href')}")


@pytest.fixture
def stack_to_fill(kafka: str, tmp_path: Path) -> Iterator[BrowserStack]:
    """An API with a log of its own: in one that others use, they would find what was put into it and nothing else."""
    with browser_stack(kafka, f"long-{uuid.uuid4().hex[:12]}", tmp_path) as stack:
        stack.in_production("digits")
        yield stack


def test_a_long_log_keeps_few_rows(new_page: NewPage, stack_to_fill: BrowserStack, faults: Faults) -> None:
    """The log is filled with what anybody may write."""
    stack = stack_to_fill
    page = new_page("#/events", at=stack)
    settled(page)
    before = stack.get("/api/events", last=1)["end_offset"]

    async def written() -> None:
        async with AIOKafkaProducer(bootstrap_servers=stack.kafka, linger_ms=20) as producer:
            sent = [
                await producer.send(Topics(stack.prefix).registry, json.dumps({"number": number}).encode(), b"digits")
                for number in range(RECORDS)
            ]
            await asyncio.gather(*sent)

    # Playwright has a loop of its own in this thread.
    with ThreadPoolExecutor(1) as aside:
        aside.submit(lambda: asyncio.run(written())).result()
    expect(page.get_by_role("button", name=re.compile(r"^\d+\+? new"))).to_be_visible()
    page.get_by_role("button", name=re.compile(r"^\d+\+? new")).click()
    for _ in range(3):
        settled(page)
        assert page.locator("main tr").count() <= ROWS_MAX
        older(page)
    page.goto("/#/events?void=without")
    settled(page)
    while page.locator("[data-offset]").count() == 0:
        older(page)
        settled(page)
    assert int(page.locator("[data-offset]").first.get_attribute("data-offset") or -1) == before - 1
    assert found_by_axe(page) == []
    page.goto("/#/")
    settled(page)
    assert page.locator("main tr").count() <= ROWS_MAX
    assert faults.found == []
