"""What axe finds on every page, in every state and theme: nothing."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Page, Route, expect

from tests.support.browser.axe import found_by_axe
from tests.support.browser.faults import NewPage
from tests.support.browser.pages import MODEL, PAGES, settled
from tests.support.browser.stack import BrowserStack, browser_stack

BEHIND_BY = 12
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WITHOUT_ANSWER = ("**/api/models**", "**/api/events**", "**/api/training**", "**/api/triggers**", "**/api/alerts**")

pytestmark = pytest.mark.timeout(600)


def looked_at(page: Page, ready: Callable[[Page], None], *, as_of: int | None = None) -> dict[str, list[str]]:
    """What axe finds on each page in the light and in the dark, once `ready` says that the page is in its state."""
    wrong: dict[str, list[str]] = {}
    for path in PAGES:
        page.evaluate("(hash) => location.hash = hash", f"#/{path}" + ("" if as_of is None else f"?as_of={as_of}"))
        ready(page)
        for theme in THEMES:
            page.emulate_media(color_scheme=theme)
            if found := found_by_axe(page):
                wrong[f"{path} {theme}"] = found
    return wrong


def visited(page: Page) -> None:
    """Have all code of the page loaded."""
    for path in ("events", "training", f"models/{MODEL}", ""):
        page.evaluate("(hash) => location.hash = hash", f"#/{path}")
        settled(page)


@pytest.fixture
def empty_stack(kafka: str, tmp_path: Path) -> Iterator[BrowserStack]:
    """An environment in which nothing has happened."""
    with browser_stack(kafka, f"empty-{uuid.uuid4().hex[:12]}", tmp_path) as stack:
        yield stack


def test_empty(new_page: NewPage, empty_stack: BrowserStack) -> None:
    page = new_page(at=empty_stack)
    settled(page)
    assert looked_at(page, settled) == {}


def test_loading(new_page: NewPage) -> None:
    page = new_page()
    visited(page)

    def never(_route: Route) -> None:
        """Leave the question without an answer."""

    for pattern in WITHOUT_ANSWER:
        page.route(pattern, never)

    def waits(page: Page) -> None:
        expect(page.get_by_role("main").get_by_role("heading").first).to_be_visible()
        # Skeletons at first, then words; where a page asks nothing, or has been told by the stream, it is there.
        expect(page.locator(".skeleton")).to_have_count(0)

    assert looked_at(page, waits) == {}
    expect(page.get_by_text("Asking for")).not_to_have_count(0)
    page.unroute_all(behavior="ignoreErrors")


def test_broken(new_page: NewPage) -> None:
    page = new_page()
    visited(page)
    page.context.set_offline(True)
    # What is open stays open, so that the stream is begun anew.
    page.evaluate(
        """() => {
          Object.defineProperty(document, 'visibilityState', {value: 'hidden', configurable: true});
          document.dispatchEvent(new Event('visibilitychange'));
          delete document.visibilityState;
          document.dispatchEvent(new Event('visibilitychange'));
        }"""
    )

    def broken(page: Page) -> None:
        expect(page.get_by_role("status").filter(has_text="Not live")).to_be_visible()
        expect(page.locator(".skeleton, .waits")).to_have_count(0)

    assert looked_at(page, broken) == {}


def test_behind_the_log(new_page: NewPage, stack: BrowserStack) -> None:
    page = new_page()
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
    expect(page.get_by_role("main")).to_be_visible()
    # Not by `wait_for_function`: it evaluates text in the page, which the page's policy forbids.
    while not page.evaluate("window.sources.length"):
        page.wait_for_timeout(20)

    def behind(page: Page) -> None:
        page.evaluate(
            """([beginning, by]) => {
              const say = (kind, data) => window.sources.at(-1).on[kind]?.({data: JSON.stringify(data)});
              say('beginning', beginning);
              say('heartbeat', {at: new Date().toISOString(), offset: beginning.offset, behind_by: by});
            }""",
            [beginning, BEHIND_BY],
        )
        expect(page.get_by_text(f"Behind the log by {BEHIND_BY} records")).to_be_visible()
        settled(page)

    assert looked_at(page, behind) == {}


def test_the_past(new_page: NewPage, stack: BrowserStack) -> None:
    first = stack.get("/api/events", type="promoted", model_name=MODEL)["events"][0]["offset"]

    def past(page: Page) -> None:
        expect(page.get_by_role("button", name="Back to now")).to_be_visible()
        settled(page)

    assert looked_at(new_page(), past, as_of=first) == {}


def test_without_a_scope(new_page: NewPage, stack: BrowserStack) -> None:
    token = stack.post("/api/keys", {"name": "looks", "scopes": ["read"]})["token"]
    page = new_page(key=token)
    settled(page)

    def ready(page: Page) -> None:
        expect(page.get_by_role("main").get_by_role("heading").or_(page.get_by_role("alert")).first).to_be_visible()
        expect(page.locator(".skeleton, .waits, [aria-busy=true]")).to_have_count(0)

    assert looked_at(page, ready) == {}
    stack.post("/api/keys/looks/revoke")
