"""One stack and one browser for all tests of the page; each test has a context of its own, with nothing from others."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.support.browser.chromium import chromium, libraries
from tests.support.browser.faults import Faults, NewPage
from tests.support.browser.stack import KEY, BrowserStack, browser_stack

WAIT_MS_MAX = 60_000
"""On a busy machine; nothing here is about how long something takes."""


@pytest.fixture(scope="session")
def stack(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserStack]:
    """An API on the real broker, with `digits` (v1 in production, v2 beside it)."""
    with browser_stack(kafka, f"page-{uuid.uuid4().hex[:12]}", tmp_path_factory.mktemp("page")) as stack:
        stack.in_production("digits")
        stack.registered("digits")
        yield stack


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real one, without a window.

    It goes with its module: while it is there an event loop runs in this thread, and nobody else's can.
    """
    expect.set_options(timeout=WAIT_MS_MAX)
    with sync_playwright() as playwright:
        program = playwright.chromium.launch(executable_path=chromium(), env={**os.environ, **libraries()})
        yield program
        program.close()


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def new_page(browser: Browser, stack: BrowserStack, faults: Faults) -> Iterator[NewPage]:
    """A function that opens one more browser profile on the page, signed in unless `signed_in=False`, with the
    key of the tests or another one, at the API that all tests share or another one."""
    contexts: list[BrowserContext] = []

    def opened(
        path: str = "#/",
        *,
        signed_in: bool = True,
        key: str = KEY,
        at: BrowserStack | None = None,
        **options: object,
    ) -> Page:
        context = browser.new_context(base_url=(at or stack).url, **options)  # type: ignore[arg-type]
        contexts.append(context)
        context.set_default_timeout(WAIT_MS_MAX)
        if signed_in:
            answer = context.request.post("/api/session", data={"key": key}, headers={"Sec-Fetch-Site": "same-origin"})
            assert answer.status == 201, answer.text()
        page = context.new_page()
        faults.watch(page)
        page.goto(f"/{path}")
        return page

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture
def page(new_page: NewPage) -> Page:
    """The overview, signed in."""
    return new_page()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Where pictures of a failing test may be put."""
    return tmp_path
