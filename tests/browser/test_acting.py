"""What people do in the page: each control makes the event that it says, and the past is what it was."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser.axe import found_by_axe
from tests.support.browser.faults import Faults, NewPage
from tests.support.browser.pages import settled
from tests.support.browser.stack import BrowserStack
from tests.support.samples.artifacts import linear_artifact

MODEL = "letters"
PUBLISHED = "published"
REASON = "tried in a browser"


@pytest.fixture(scope="module")
def stack_of_acts(stack: BrowserStack) -> BrowserStack:
    """A model of this module alone: v2 in production, v1 before it, v3 to v5 beside them."""
    for _ in range(2):
        stack.in_production(MODEL)
    for _ in range(3):
        stack.registered(MODEL)
    return stack


def last_event(stack: BrowserStack) -> tuple[str, str, str | None]:
    """The type, the actor and the reason of the model's last event."""
    newest = stack.get("/api/events", before_offset=2**53 - 1, limit=1, model_name=MODEL)
    event = newest["events"][0]["event"]
    return str(event["type"]).split(".")[2], str(event["actor"]), event.get("reason")


def ask(page: Page, button: str, row: str | None = None) -> None:
    """Press a button, of a version's row if one is named; the confirmation opens."""
    place = page.locator("tr[data-row]", has_text=re.compile(rf"^{row}")) if row else page.locator(".pagehead")
    place.get_by_role("button", name=re.compile(rf"^{button}\b")).click()
    expect(page.get_by_role("dialog")).to_be_visible()


def confirmed(page: Page) -> None:
    """Give a reason, and confirm by the key alone."""
    page.get_by_label("Reason, kept in the log").fill(REASON)
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_each_control_makes_the_event_that_it_says(
    new_page: NewPage, stack_of_acts: BrowserStack, faults: Faults
) -> None:
    stack, page = stack_of_acts, new_page(f"#/models/{MODEL}")
    settled(page)
    acts = (
        ("Roll back", None, "rolled-back"),
        ("Activate", "v3", "promoted"),
        ("Promote", "v1", "promoted"),
        ("Reload", None, "promoted"),
        ("Switch off", None, "disabled"),
        ("Switch on", None, "enabled"),
        ("Shadow", "v4", "started"),
        ("Cancel", None, "archived"),
        ("Roll out", "v5", "step-entered"),
        ("Pause", None, "paused"),
        ("Resume", None, "resumed"),
        ("Advance", None, "step-entered"),
        ("Abort", None, "archived"),
    )
    for button, row, made in acts:
        ask(page, button, row)
        confirmed(page)
        expect(page.get_by_role("status").filter(has_text="accepted, offset")).to_be_visible()
        kind, actor, reason = last_event(stack)
        assert (kind, reason) == (made, REASON), button
        assert actor == "ada"
        # What is offered next is what is legal next.
        sequence = stack.get(f"/api/models/{MODEL}/steps")["sequence"]
        expect(page.locator("[data-sequence]")).to_have_attribute("data-sequence", str(sequence))
    assert faults.found == []


def test_what_changed_meanwhile_is_said_and_not_overwritten(new_page: NewPage, stack_of_acts: BrowserStack) -> None:
    stack, page = stack_of_acts, new_page(f"#/models/{MODEL}")
    settled(page)
    ask(page, "Switch off")
    assert found_by_axe(page) == []
    stack.post(f"/api/models/{MODEL}/disable", {"reason": "somebody was quicker"})
    page.keyboard.press("Enter")
    alert = page.get_by_role("dialog").get_by_role("alert")
    expect(alert).to_contain_text("by ada")
    expect(page.get_by_role("dialog").get_by_role("button", name="Switch off")).to_be_disabled()
    page.get_by_role("button", name="Look again").click()
    ask(page, "Switch on")
    confirmed(page)
    assert last_event(stack)[0] == "enabled"


def test_the_page_of_a_moment_is_what_the_api_says_of_it(new_page: NewPage, stack_of_acts: BrowserStack) -> None:
    stack = stack_of_acts
    promoted = stack.get("/api/events", before_offset=2**53 - 1, type="promoted", model_name=MODEL)["events"]
    page = new_page(f"#/models/{MODEL}")
    settled(page)
    for entry in promoted[-2:]:
        offset = entry["offset"]
        then = stack.get(f"/api/models/{MODEL}", as_of_offset=offset)
        page.goto(f"/#/models/{MODEL}?as_of={offset}")
        arm = page.locator(".arm")
        expect(arm).to_have_count(1)
        expect(arm).to_contain_text(then["active_version"])
        expect(arm).to_contain_text(f"since offset {then['active_offset']}")
        settled(page)
        assert page.locator("tr[data-row]").count() == then["versions_total"]
        expect(page.get_by_role("button", name="Roll back")).to_have_count(0)
        expect(page.get_by_text("In the past nothing can be commanded")).to_be_visible()
    assert found_by_axe(page) == []
    # Keys go back and forth; from the last event, forth is now.
    page.keyboard.press("[")
    expect(page).to_have_url(re.compile(rf"as_of={promoted[-1]['offset'] - 1}$"))
    page.keyboard.press("n")
    expect(page).not_to_have_url(re.compile("as_of"))
    expect(page.get_by_role("button", name="Reload")).to_be_visible()


def test_the_keyboard_alone_goes_everywhere(new_page: NewPage, stack_of_acts: BrowserStack) -> None:
    page = new_page()
    settled(page)
    expect(page.get_by_role("link", name=MODEL)).to_be_visible()
    page.keyboard.press("Control+k")
    expect(page.get_by_role("combobox")).to_be_focused()
    page.keyboard.type(f"model {MODEL}")
    assert found_by_axe(page) == []
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=MODEL)).to_be_visible()
    settled(page)
    page.keyboard.press("g")
    page.keyboard.press("r")
    expect(page).to_have_url(re.compile(rf"#/rollout/{MODEL}$"))
    page.keyboard.press("g")
    page.keyboard.press("o")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    page.keyboard.press("j")
    expect(page.locator("[data-row]").first).to_be_focused()
    page.keyboard.press("?")
    page.get_by_label("Single keys act").uncheck()
    assert found_by_axe(page) == []
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("n")
    page.keyboard.press("g")
    page.keyboard.press("e")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def test_a_file_becomes_a_version_and_a_policy_starts_its_training(
    new_page: NewPage, stack: BrowserStack, faults: Faults
) -> None:
    page = new_page()
    settled(page)
    page.get_by_role("button", name="Publish a file").click()
    page.get_by_label("Name of the model").fill(PUBLISHED)
    page.get_by_label("ONNX graph").set_input_files(
        {"name": "not a model.onnx", "mimeType": "application/octet-stream", "buffer": b"no model"}
    )
    page.get_by_role("dialog").locator("[data-first]").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_be_visible()
    assert found_by_axe(page) == []
    page.get_by_label("ONNX graph").set_input_files(
        {"name": "linear.safetensors", "mimeType": "application/octet-stream", "buffer": linear_artifact(seed=1_000)}
    )
    confirmed(page)
    version = stack.get(f"/api/models/{PUBLISHED}/versions")["versions"][0]
    assert version["provenance"]["created_by"] == "ada"
    page.goto(f"/#/models/{PUBLISHED}")
    ask(page, "Activate", version["model_version"])
    confirmed(page)
    expect(page.locator(".arm")).to_contain_text(version["model_version"])
    page.get_by_role("link", name="Runs and triggers").click()
    page.get_by_role("button", name="Set a policy").click()
    page.get_by_label("At these times").fill("0 3 * * 1")
    page.get_by_label("When input drift").fill("0.25")
    page.get_by_label("A version that passes").select_option("shadow")
    confirmed(page)
    expect(page.get_by_text("at 0 3 * * 1 (UTC), input-drift above 0.25, by hand")).to_be_visible()
    policy = stack.get(f"/api/models/{PUBLISHED}/triggers")["policy"]
    assert (policy["schedule"]["cron"], policy["drift"]["limit"], policy["after"]) == ("0 3 * * 1", 0.25, "shadow")
    page.get_by_role("button", name="Fire").click()
    confirmed(page)
    (run,) = stack.get(f"/api/models/{PUBLISHED}/training-runs")["runs"]
    assert run["reason"] == REASON
    expect(page.locator("main")).to_contain_text(run["run_id"])
    page.get_by_role("button", name="Take the policy away").click()
    confirmed(page)
    expect(page.get_by_text("No training policy: only people start runs.")).to_be_visible()
    # The browser says itself that the first file was refused.
    assert [fault for fault in faults.found if "status of 422" not in fault] == []
