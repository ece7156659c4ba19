"""The page in a browser: what a visit loads, when it is painted, how quickly it turns, what open tabs cost."""

import gzip
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import psutil
from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.browser.chromium import chromium, libraries
from tests.support.browser.stack import KEY, BrowserStack, browser_stack
from tests.support.checkout import ROOT
from tests.support.kafka.run_broker import RunBroker
from tools.build_page import ASSETS, build, visits

MODEL = "digits"
KILOBYTES_MAX = 40.0
FIRST_PAINT_MS_MAX = 1_000.0
INTERACTION_MS_MAX = 100.0
CORE_SHARE_MAX = 0.05
TABS = 10
ANSWERS_PER_SECOND = 5_000
VISITS = 7
WATCHED_SECONDS = 20.0

_TURN = """async ([from, to]) => {
  const link = [...document.querySelectorAll('nav a')].find((one) => one.textContent.trim() === to);
  const before = performance.now();
  link.click();
  while (document.querySelector('main h1')?.textContent !== to) await new Promise(requestAnimationFrame);
  return performance.now() - before;
}"""


def run() -> list[dict[str, object]]:
    """Return the results, one a figure."""
    results = [_size()]
    broker = RunBroker()
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            browser_stack(broker.servers(), "page-bench", Path(folder)) as stack,
            sync_playwright() as playwright,
        ):
            stack.in_production(MODEL)
            browser = playwright.chromium.launch(executable_path=chromium(), env={**os.environ, **libraries()})
            results += [_first_paint(browser, stack), _interaction(browser, stack)]
            results += [_open_tabs(browser, stack)]
            browser.close()
    finally:
        broker.close()
    return results


def _size() -> dict[str, object]:
    build(ROOT)
    assets = ROOT / ASSETS
    sizes = {path.name: len(gzip.compress(path.read_bytes())) / 1_024 for path in assets.iterdir()}
    loaded = {group: sum(sizes[name] for name in names) for group, names in visits(assets).items()}
    for group, size in sorted(loaded.items()):
        print(f"  a visit that begins with {group}: {size:.1f} KB by gzip")
    return _result("page_visit", max(loaded.values()), "KB by gzip", "all pages", sum(sizes.values()), KILOBYTES_MAX)


def _first_paint(browser: Browser, stack: BrowserStack) -> dict[str, object]:
    def painted() -> float:
        page = _opened(browser, stack)
        # `wait_for_function` evaluates text in the page, which its content security policy forbids.
        while not page.evaluate("performance.getEntriesByName('first-contentful-paint').length"):
            page.wait_for_timeout(10)
        at: float = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        page.context.close()
        return at

    first = painted()
    others = _median(painted, VISITS)
    return _result("page_first_paint", others, "ms", "the very first visit", first, FIRST_PAINT_MS_MAX)


def _interaction(browser: Browser, stack: BrowserStack) -> dict[str, object]:
    page = _opened(browser, stack)
    page.get_by_role("link", name=MODEL).wait_for()
    first: float = page.evaluate(_TURN, ["Overview", "Events"])

    def turned() -> float:
        page.evaluate(_TURN, ["Events", "Overview"])
        taken: float = page.evaluate(_TURN, ["Overview", "Events"])
        return taken

    others = _median(turned, VISITS)
    page.context.close()
    return _result("page_interaction", others, "ms", "with the page's code to load", first, INTERACTION_MS_MAX)


def _open_tabs(browser: Browser, stack: BrowserStack) -> dict[str, object]:
    stack.start("worker", "--model", MODEL, "--name", "bench")
    stack.start("loadtest", MODEL, "--rate", str(ANSWERS_PER_SECOND), "--seconds", "120")
    process = psutil.Process(stack.process("api").pid)
    answers_at_least = ANSWERS_PER_SECOND / 2
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and _answers(stack) < answers_at_least:
        time.sleep(1)
    without = _share(process)
    pages = [_opened(browser, stack) for _ in range(TABS)]
    for page in pages:
        page.get_by_role("link", name=MODEL).wait_for()
    with_tabs = _share(process)
    rate = _answers(stack)
    for page in pages:
        page.context.close()
    return _result(
        f"api_with_{TABS}_tabs",
        with_tabs - without,
        f"of a core more, at {rate:.0f} answers/s",
        "without a tab",
        without,
        CORE_SHARE_MAX,
    )


def _answers(stack: BrowserStack) -> float:
    health = stack.get(f"/api/models/{MODEL}/health")
    return float(sum(version["answers"]["requests_per_second"] for version in health["versions"]))


def _share(process: psutil.Process) -> float:
    """Return how much of one core a process takes."""
    before, began = process.cpu_times(), time.monotonic()
    time.sleep(WATCHED_SECONDS)
    after, ended = process.cpu_times(), time.monotonic()
    return float(after.user + after.system - before.user - before.system) / (ended - began)


def _opened(browser: Browser, stack: BrowserStack) -> Page:
    context = browser.new_context(base_url=stack.url)
    context.request.post("/api/session", data={"key": KEY}, headers={"Sec-Fetch-Site": "same-origin"})
    page = context.new_page()
    page.goto("/")
    return page


def _median(measured: Callable[[], float], count: int) -> float:
    return median(measured() for _ in range(count))


def _result(name: str, ours: float, unit: str, other: str, comparison: float, most: float) -> dict[str, object]:
    return {
        "name": name,
        "ours": round(ours, 3),
        "unit": unit,
        "compared_with": other,
        "comparison": round(comparison, 3),
        "ratio": round(ours / comparison, 3) if comparison else None,
        "aim": f"at most {most:g}",
        "holds": ours <= most,
    }
