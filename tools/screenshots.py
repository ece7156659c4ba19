"""Pictures of the page for the docs: `python -m tools.screenshots URL KEY`, on an `up` that is new.

It does what the guide "In the browser" tells a person to do, by the same clicks, and takes a picture at each: where a
picture no longer shows what the guide says, this does not get through. Requests to the model must be coming meanwhile,
so that there are figures and evidence. The pictures are WebP, which the browser itself makes.
"""

import argparse
import base64
import os
import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, FloatRect, Page, ViewportSize, expect, sync_playwright

from tests.support.browser.chromium import chromium, libraries

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "pictures"
MODEL = "digits"
DESK = ViewportSize(width=1_240, height=780)
PHONE = ViewportSize(width=390, height=780)
QUALITY = 0.7
MARGIN = 24
"""Pixels around a confirmation, which has a picture of its own."""
WAIT_MS_MAX = 180_000
FIGURES_MS = 20_000
"""So long the charts fill before a picture is taken of them."""
SETTLED_MS = 500
"""A confirmation fades in."""

_TO_WEBP = """async ([png, quality]) => {
  const bytes = Uint8Array.from(atob(png), (one) => one.charCodeAt(0));
  const picture = await createImageBitmap(new Blob([bytes], {type: "image/png"}));
  const canvas = new OffscreenCanvas(picture.width, picture.height);
  canvas.getContext("2d").drawImage(picture, 0, 0);
  const made = new Uint8Array(await (await canvas.convertToBlob({type: "image/webp", quality})).arrayBuffer());
  let text = "";
  for (const byte of made) text += String.fromCharCode(byte);
  return btoa(text);
}"""


class Camera:
    """Takes pictures of a page, in a browser that nobody else uses."""

    def __init__(self, browser: Browser, folder: Path) -> None:
        self._maker = browser.new_page()
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def take(self, page: Page, name: str, *, height: int | None = None) -> None:
        """Write a picture of what is seen of the page, of its first `height` pixels, or of what is to be confirmed."""
        page.wait_for_timeout(SETTLED_MS)
        expect(page.locator(".skeleton, .waits, [aria-busy=true]")).to_have_count(0)
        if page.get_by_role("dialog").count():
            box = page.get_by_role("dialog").bounding_box()
            clip = None if box is None else _around(box)
            self._write(name, page.screenshot(clip=clip))
            return
        width = page.evaluate("innerWidth")
        png = page.screenshot(
            full_page=height is not None,
            clip=None if height is None else {"x": 0, "y": 0, "width": width, "height": height},
        )
        self._write(name, png)

    def _write(self, name: str, png: bytes) -> None:
        made = self._maker.evaluate(_TO_WEBP, [base64.b64encode(png).decode(), QUALITY])
        (self._folder / f"{name}.webp").write_bytes(base64.b64decode(made))


def _around(box: FloatRect) -> FloatRect:
    return FloatRect(
        x=box["x"] - MARGIN, y=box["y"] - MARGIN, width=box["width"] + 2 * MARGIN, height=box["height"] + 2 * MARGIN
    )


def confirm(page: Page, reason: str) -> None:
    """Give the reason of what is asked, and confirm."""
    page.get_by_label("Reason, kept in the log").fill(reason)
    page.get_by_role("dialog").locator("[data-first]").click()
    expect(page.get_by_role("dialog")).to_have_count(0)


def press(page: Page, button: str, version: str | None = None) -> None:
    """Press a button of the page, or of a version's row."""
    place = page.locator("tr[data-row]", has_text=re.compile(f"^{version}")) if version else page.locator(".pagehead")
    place.get_by_role("button", name=re.compile(rf"^{button}\b")).click()


def walk(page: Page, camera: Camera, key: str, requests: Callable[[], None]) -> None:
    """Go from training to rollback."""
    page.goto("/")
    page.get_by_label("API key").fill(key)
    camera.take(page, "sign-in")
    page.keyboard.press("Enter")
    press(page, "Train a model")
    camera.take(page, "train")
    confirm(page, "a first version")
    expect(page.locator(".card")).to_contain_text("v1", timeout=WAIT_MS_MAX)
    requests()
    page.get_by_role("link", name=MODEL).click()
    press(page, "Train")
    page.get_by_label("Seed").fill("7")
    confirm(page, "the same data, another seed")
    row = page.locator("tr[data-row]", has_text=re.compile("^v2"))
    expect(row).to_contain_text("passed", timeout=WAIT_MS_MAX)
    page.wait_for_timeout(FIGURES_MS)
    camera.take(page, "model", height=1_120)
    press(page, "Shadow", "v2")
    camera.take(page, "shadow")
    confirm(page, "does it agree with v1?")
    expect(row).to_contain_text("shadow")
    press(page, "Promote")
    confirm(page, "it agrees")
    expect(page.locator(".arm")).to_have_count(1)
    expect(page.locator(".arm")).to_contain_text("v2")
    press(page, "Train")
    page.get_by_label("Seed").fill("11")
    confirm(page, "retrained on this week's labels")
    expect(page.locator("tr[data-row]", has_text=re.compile("^v3"))).to_contain_text("passed", timeout=WAIT_MS_MAX)
    press(page, "Roll out", "v3")
    camera.take(page, "roll-out")
    confirm(page, "retrained on this week's labels")
    page.get_by_role("link", name="Steps and evidence").click()
    expect(page.locator("g.end")).to_be_visible(timeout=WAIT_MS_MAX)
    page.wait_for_timeout(FIGURES_MS)
    camera.take(page, "rollout", height=860)
    page.keyboard.press("g")
    page.keyboard.press("o")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    camera.take(page, "overview")
    page.emulate_media(color_scheme="dark")
    camera.take(page, "overview-dark")
    page.emulate_media(color_scheme="light")
    page.get_by_role("link", name=MODEL).first.click()
    press(page, "Promote v3")
    confirm(page, "as good, and newer")
    expect(page.get_by_role("button", name=re.compile("^Roll back"))).to_be_visible()
    page.keyboard.press("b")
    camera.take(page, "roll-back")
    confirm(page, "customers complain about sevens")
    expect(page.locator(".arm")).to_have_count(1)
    expect(page.locator(".arm")).to_contain_text("v2")
    for _ in range(3):
        page.keyboard.press("[")
    expect(page.get_by_role("button", name="Back to now")).to_be_visible()
    camera.take(page, "past")


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("key")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    given = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), env={**os.environ, **libraries()})
        context = browser.new_context(base_url=given.url, viewport=DESK, color_scheme="light")
        context.set_default_timeout(30_000)
        expect.set_options(timeout=30_000)
        camera = Camera(browser, given.folder)
        page = context.new_page()
        print("when it says so, start: hotswap-stream loadtest digits --rate 30 --seconds 600 --keys 5000")  # noqa: T201
        walk(page, camera, given.key, lambda: print("now: v1 is in production", flush=True))  # noqa: T201
        page.set_viewport_size(PHONE)
        page.goto(f"/#/models/{MODEL}")
        expect(page.locator(".arm").first).to_be_visible()
        page.emulate_media(color_scheme="dark")
        camera.take(page, "phone")
        browser.close()


if __name__ == "__main__":
    main()
