"""The page in a real browser, on the real stack. What takes longer is in `long_*.py`, for `make browser`."""

import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.browser.axe import found_by_axe
from tests.support.browser.faults import Faults, NewPage
from tests.support.browser.pages import MODEL, PAGES, settled
from tests.support.browser.stack import KEY, BrowserStack

PHONE = {"width": 390, "height": 780}

pytestmark = pytest.mark.timeout(300)


def offsets(page: Page) -> list[int]:
    """The offsets of the events that the page shows, as it shows them."""
    found: list[Any] = page.locator("[data-offset]").evaluate_all("all => all.map((one) => +one.dataset.offset)")
    return [int(offset) for offset in found]


def card(page: Page) -> Locator:
    """The model's place on the overview."""
    return page.locator(".card", has=page.get_by_role("link", name=MODEL, exact=True))


def test_whoever_has_a_key_signs_in_and_out_and_the_console_stays_empty(new_page: NewPage, faults: Faults) -> None:
    page = new_page(signed_in=False)
    heading = page.get_by_role("heading", name="Sign in")
    expect(heading).to_be_visible()
    expect(page.get_by_label("API key")).to_be_focused()
    assert found_by_axe(page) == []
    page.get_by_label("API key").fill(KEY)
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name=MODEL, exact=True)).to_be_visible()
    # No script can read it.
    assert page.evaluate("document.cookie") == ""
    assert page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])").find(KEY) < 0
    page.reload()
    expect(page.get_by_role("link", name=MODEL, exact=True)).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(heading).to_be_visible()
    assert faults.found == []


def test_a_wrong_key_is_said_to_be_one(new_page: NewPage) -> None:
    page = new_page(signed_in=False)
    page.get_by_label("API key").fill(KEY[:-1])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("not known")
    expect(page.get_by_label("API key")).to_be_focused()


def test_what_the_page_is_sent_with_keeps_others_out(new_page: NewPage) -> None:
    page = new_page()
    answer = page.request.get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    blocked = page.evaluate(
        """async () => {
          const blocked = [];
          document.addEventListener('securitypolicyviolation', (event) => blocked.push(event.effectiveDirective));
          const script = document.createElement('script');
          script.textContent = 'window.ran = true';
          document.body.append(script);
          const style = document.createElement('style');
          style.textContent = 'body { color: red }';
          document.head.append(style);
          await fetch('http://127.0.0.2:1/').catch(() => undefined);
          await new Promise((resolve) => setTimeout(resolve));
          return [window.ran === undefined, ...blocked.sort()];
        }"""
    )
    assert blocked == [True, "connect-src", "script-src-elem", "style-src-elem"]


@pytest.mark.parametrize("theme", ["light", "phone"])
def test_each_page_is_whole_in_each_theme(new_page: NewPage, faults: Faults, theme: str) -> None:
    """Nothing in the console, nothing that axe finds, nothing wider than a phone, whose theme is the dark one."""
    options = {"viewport": PHONE, "color_scheme": "dark"} if theme == "phone" else {"color_scheme": theme}
    page = new_page(**options)
    wrong: dict[str, list[str]] = {}
    for path in PAGES:
        page.goto(f"/#/{path}")
        settled(page)
        found = found_by_axe(page)
        width = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if found or width > 0:
            wrong[path] = [*found, f"{width} px too wide"]
    assert wrong == {}
    assert faults.found == []


def test_events_are_filtered_opened_and_looked_at_in_their_moment(new_page: NewPage, stack: BrowserStack) -> None:
    page = new_page("#/events")
    settled(page)
    last = stack.get("/api/events", last=1)["events"][0]["offset"]
    assert offsets(page)[0] == last
    page.get_by_label("Type").fill("promoted")
    page.get_by_label("Type").press("Enter")
    expect(page.locator("tr[data-offset]")).to_have_count(len(stack.get("/api/events", type="promoted")["events"]))
    chosen = offsets(page)[-1]
    row = page.locator(f"tr[data-offset='{chosen}']").get_by_role("button")
    row.click()
    expect(row).to_have_attribute("aria-expanded", "true")
    event = stack.get("/api/events", from_offset=chosen, limit=1)["events"][0]["event"]
    detail = page.locator(".opened")
    expect(detail).to_contain_text(event["previous"])
    expect(detail.locator("pre")).to_contain_text(event["data"]["model_version"])
    expect(detail.locator("tr", has_text="active_version")).to_contain_text(event["data"]["model_version"])
    detail.get_by_role("button", name="View the system here").click()
    expect(page).to_have_url(re.compile(rf"as_of={chosen}"))
    expect(page.get_by_role("heading", name=f"up to offset {chosen}")).to_be_visible()


def test_what_comes_meanwhile_waits_behind_a_button(new_page: NewPage, stack: BrowserStack) -> None:
    page = new_page("#/events")
    settled(page)
    shown = offsets(page)
    stack.in_production(MODEL)
    waiting = page.get_by_role("button", name="2 new")
    expect(waiting).to_be_visible()
    assert offsets(page) == shown
    waiting.click()
    expect(page.locator("tr[data-offset]").first).to_have_attribute("data-offset", str(shown[0] + 2))
    expect(waiting).to_be_hidden()


def test_a_key_that_may_only_read_finds_no_buttons(new_page: NewPage, stack: BrowserStack) -> None:
    token = stack.post("/api/keys", {"name": "reader", "scopes": ["read"]})["token"]
    page = new_page(f"#/models/{MODEL}", key=token)
    settled(page)
    for name in ("Roll back", "Reload", "Promote", "Train", "Switch off"):
        expect(page.get_by_role("button", name=name, exact=True)).to_have_count(0)
    stack.post("/api/keys/reader/revoke")
    # Without a reload: the stream ends with the key.
    stack.registered(MODEL)
    expect(page.get_by_text("was revoked")).to_be_visible()


def test_two_browsers_see_what_somebody_changes_without_asking_again(
    new_page: NewPage, stack: BrowserStack, faults: Faults
) -> None:
    pages = new_page(), new_page()
    for page in pages:
        expect(page.get_by_role("link", name=MODEL, exact=True)).to_be_visible()
    asked: list[str] = []
    for page in pages:
        page.on("request", lambda request: asked.append(request.url))
    version = stack.in_production(MODEL)
    for page in pages:
        expect(card(page)).to_contain_text(version)
    assert asked == [], "the page asks again"
    assert faults.found == []


def test_the_api_is_killed_and_the_page_heals_with_no_event_missing_or_doubled(
    new_page: NewPage, stack: BrowserStack
) -> None:
    page = new_page()
    expect(page.get_by_role("link", name=MODEL, exact=True)).to_be_visible()
    before = stack.in_production(MODEL)
    expect(card(page)).to_contain_text(before)
    stack.kill_api()
    expect(page.get_by_role("status").filter(has_text="Not live")).to_be_visible()
    stack.start_api()
    after = stack.in_production(MODEL)
    # Still signed in, and without a reload.
    expect(card(page)).to_contain_text(after)
    expect(page.get_by_role("status").filter(has_text="Not live")).to_be_hidden()
    newest = stack.get("/api/events", last=1)["events"][-1]["offset"]
    # What the model is comes ahead of the events that made it so.
    expect(page.locator("[data-offset]").first).to_have_attribute("data-offset", str(newest))
    shown = offsets(page)
    assert sorted(shown, reverse=True) == shown == list(range(newest, newest - len(shown), -1))
