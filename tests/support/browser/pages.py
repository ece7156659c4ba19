"""The pages of the page, and when one of them is there."""

from playwright.sync_api import Page, expect

MODEL = "digits"
PAGES = ("", "events", "answer", "fleet", "training", "alerts", "keys", f"models/{MODEL}", f"rollout/{MODEL}")


def settled(page: Page) -> None:
    """Wait until nothing is waited for any more."""
    expect(page.get_by_role("main").get_by_role("heading").first).to_be_visible()
    expect(page.locator(".skeleton, .waits, [aria-busy=true]")).to_have_count(0)
