"""Pictures of the page for the docs: `python -m tools.screenshots`.

It starts an environment of its own and does what the guide "In the browser" tells a person to do, by the same clicks,
with a picture at each: where the page no longer does what the guide says, this does not get through. The pictures are
WebP, which the browser itself makes.
"""

import argparse
import base64
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from playwright.sync_api import Browser, FloatRect, Locator, Page, ViewportSize, expect, sync_playwright

from hotswap_stream.broker.ports import pick_free_ports
from tests.support.browser.chromium import chromium, libraries
from tests.support.checkout import ROOT
from tests.support.samples.artifacts import linear_artifact
from tools.build_page import build

FOLDER = ROOT / "docs" / "pictures"
KEY = "key-of-the-pictures"
MODEL = "digits"
OTHER = "scores"
DESK = ViewportSize(width=1_240, height=780)
PHONE = ViewportSize(width=390, height=780)
QUALITY = 0.7
MARGIN = 24
"""Pixels around a confirmation, which has a picture of its own."""
WAIT_MS_MAX = 900_000
READY_SECONDS_MAX = 600.0
FIGURES_MS = 20_000
"""So long the charts fill before a picture is taken of them."""
SETTLED_MS = 500
"""A confirmation fades in."""
ENOUGH_SHOWN = re.compile(r"after (1[2-9]\d|[2-9]\d\d|\d{4,}) answers")
"""Answers of the new version, in the picture of its evidence: 120 or more."""
TRIES_MAX = 5
REQUESTS = ("loadtest", MODEL, "--rate", "30", "--seconds", "3000", "--keys", "5000")

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
        page.evaluate("scrollTo(0, 0)")
        page.wait_for_timeout(SETTLED_MS)
        expect(page.locator(".skeleton, .waits, [aria-busy=true]")).to_have_count(0)
        if page.get_by_role("dialog").count():
            box = page.get_by_role("dialog").bounding_box()
            clip = None if box is None else _around(box)
            self._write(name, page.screenshot(clip=clip))
            return
        # What was said of the last command is gone by then, or would cover the page.
        expect(page.locator(".said p")).to_have_count(0)
        width = page.evaluate("innerWidth")
        png = page.screenshot(
            full_page=height is not None,
            clip=None if height is None else {"x": 0, "y": 0, "width": width, "height": height},
        )
        self._write(name, png)

    def _write(self, name: str, png: bytes) -> None:
        made = self._maker.evaluate(_TO_WEBP, [base64.b64encode(png).decode(), QUALITY])
        (self._folder / f"{name}.webp").write_bytes(base64.b64decode(made))
        print(name, flush=True)  # noqa: T201


def _around(box: FloatRect) -> FloatRect:
    return FloatRect(
        x=box["x"] - MARGIN, y=box["y"] - MARGIN, width=box["width"] + 2 * MARGIN, height=box["height"] + 2 * MARGIN
    )


class Walk:
    """The clicks of the guide, on one page."""

    def __init__(self, page: Page, camera: Camera) -> None:
        self._page = page
        self._camera = camera

    def act(
        self, button: str, reason: str, *, version: str | None = None, picture: str | None = None, **fields: str
    ) -> None:
        """Press a button of the page or of a version's row, fill in fields by their labels, give a reason, confirm.

        Where the log went on meanwhile it is looked at again and pressed again, as a person would.
        """
        page = self._page
        for _ in range(TRIES_MAX):
            self._place(version).get_by_role("button", name=re.compile(rf"^{button}\b")).first.click()
            self.confirm(reason, picture=picture, **fields)
            if page.get_by_role("dialog").count() == 0:
                return
            page.get_by_role("button", name="Look again").click()
        raise RuntimeError(f"{button} was refused {TRIES_MAX} times")

    def confirm(self, reason: str, *, picture: str | None = None, **fields: str) -> None:
        """Fill in what is asked; return when it is accepted, or somebody was quicker."""
        dialog = self._page.get_by_role("dialog")
        expect(dialog).to_be_visible()
        for label, text in fields.items():
            dialog.get_by_label(label.replace("_", " ")).fill(text)
        dialog.get_by_label("Reason, kept in the log").fill(reason)
        if picture is not None:
            self._camera.take(self._page, picture)
        ended = self._page.locator("body:not(:has(dialog[open]))")
        for _ in range(TRIES_MAX):
            dialog.locator("[data-first]").click()
            expect(dialog.get_by_role("alert").or_(ended).first).to_be_visible()
            if ended.count() or dialog.get_by_role("button", name="Look again").count():
                return
            # A busy machine: the log could not be asked in time. The command was not carried out.
            self._page.wait_for_timeout(FIGURES_MS)

    def row(self, version: str) -> Locator:
        """The version's row in the model's table."""
        return self._page.locator("tr[data-row]", has_text=re.compile(f"^{version}"))

    def _place(self, version: str | None) -> Locator:
        return self._page.get_by_role("main") if version is None else self.row(version)

    def arms(self, *versions: str) -> None:
        """Wait until these versions answer, the first one first."""
        expect(self._page.locator(".arm")).to_have_count(len(versions))
        for number, version in enumerate(versions):
            expect(self._page.locator(".arm").nth(number)).to_contain_text(version)


def walk_to_two_models(walk: Walk, page: Page, camera: Camera) -> None:
    """Sign in, train a model, and publish another one."""
    page.goto("/")
    page.get_by_label("API key").fill(KEY)
    camera.take(page, "sign-in", height=440)
    page.keyboard.press("Enter")
    walk.act("Train a model", "a first version", picture="train")
    expect(page.locator(".card")).to_contain_text("v1", timeout=WAIT_MS_MAX)
    page.get_by_role("button", name="Publish a file").click()
    page.get_by_label("ONNX graph").set_input_files(
        {"name": f"{OTHER}.safetensors", "mimeType": "application/octet-stream", "buffer": linear_artifact()}
    )
    walk.confirm("made elsewhere", picture="publish", Name_of_the_model=OTHER)
    page.get_by_role("link", name=OTHER, exact=True).first.click()
    walk.act("Activate", "tried by hand", version="v1")
    walk.arms("v1")


def walk_to_rollback(walk: Walk, page: Page, camera: Camera) -> None:
    """From the second version to the rollback, and into the past."""
    page.goto(f"/#/models/{MODEL}")
    walk.act("Train", "the same data, another seed", Seed="7")
    expect(walk.row("v2")).to_contain_text("passed", timeout=WAIT_MS_MAX)
    page.wait_for_timeout(FIGURES_MS)
    camera.take(page, "model", height=1_120)
    walk.act("Shadow", "does it agree with v1?", version="v2", picture="shadow")
    walk.arms("v1", "v2")
    walk.act("Promote", "it agrees", picture="promote")
    walk.arms("v2")
    walk.act("Train", "retrained on this week's labels", Seed="11")
    expect(walk.row("v3")).to_contain_text("passed", timeout=WAIT_MS_MAX)
    walk.act("Roll out", "retrained on this week's labels", version="v3", picture="roll-out")
    page.get_by_role("link", name="Steps and evidence").click()
    expect(page.locator("svg.funnel desc").first).to_contain_text(ENOUGH_SHOWN, timeout=WAIT_MS_MAX)
    camera.take(page, "rollout", height=860)
    page.keyboard.press("g")
    page.keyboard.press("o")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    camera.take(page, "overview")
    page.emulate_media(color_scheme="dark")
    camera.take(page, "overview-dark")
    page.emulate_media(color_scheme="light")
    page.get_by_role("link", name=MODEL, exact=True).first.click()
    walk.act("Promote v3", "as good, and newer")
    walk.arms("v3")
    for _ in range(TRIES_MAX):
        expect(page.get_by_role("button", name=re.compile("^Roll back"))).to_be_visible()
        page.keyboard.press("b")
        walk.confirm("customers complain about sevens", picture="roll-back")
        if page.get_by_role("dialog").count() == 0:
            break
        page.get_by_role("button", name="Look again").click()
    walk.arms("v2")


def walk_beyond(walk: Walk, page: Page, camera: Camera) -> None:
    """What starts training, and the past."""
    page.get_by_role("link", name="Runs and triggers").click()
    walk.act("Set a policy", "each Monday, and when the data move", At_these_times="0 3 * * 1", When_input_drift="0.25")
    walk.act("Fire", "new cameras")
    expect(page.locator("tbody tr").first).to_contain_text("succeeded", timeout=WAIT_MS_MAX)
    camera.take(page, "triggers")
    page.goto(f"/#/models/{MODEL}")
    expect(page.locator(".arm").first).to_be_visible()
    moments = page.locator(".history button")
    moments.nth(1).click()
    expect(page.get_by_role("button", name="Back to now")).to_be_visible()
    camera.take(page, "past")
    page.set_viewport_size(PHONE)
    page.goto(f"/#/models/{MODEL}")
    walk.arms("v2")
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(FIGURES_MS)
    camera.take(page, "phone")


@contextmanager
def environment(home: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """All of it, with a key and nothing in it; its address, and the settings of commands that go there."""
    (port,) = pick_free_ports(1)
    url = f"http://127.0.0.1:{port}"
    settings = {
        "HOTSWAP_TOPIC_PREFIX": "demo",
        "HOTSWAP_GRAPHS_EXPORTED": "false",  # seconds of each registration
        **os.environ,
        "HOTSWAP_HOME": str(home),
        "HOTSWAP_API_KEYS": f"ada:{KEY}",
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "events"))),
    }
    with (home / "up.log").open("wb") as log, _command(settings, log, "up", "--port", str(port)) as up:
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not _ready(url):
            if up.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"`up` is not ready: {(home / 'up.log').read_text()}")
            time.sleep(0.2)
        yield url, settings


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def _command(settings: dict[str, str], log: object, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A command until the block ends."""
    command = [sys.executable, "-c", "from hotswap_stream.cli import main; main()", *arguments]
    process = subprocess.Popen(command, env=settings, stdout=log, stderr=subprocess.STDOUT)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    given = parser.parse_args()
    build(ROOT)
    with (
        tempfile.TemporaryDirectory(prefix="hotswap-pictures-") as home,
        environment(Path(home)) as (url, settings),
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium(), env={**os.environ, **libraries()})
        context = browser.new_context(base_url=url, viewport=DESK, color_scheme="light")
        context.set_default_timeout(WAIT_MS_MAX)
        expect.set_options(timeout=WAIT_MS_MAX)
        page, camera = context.new_page(), Camera(browser, given.folder)
        walk = Walk(page, camera)
        walk_to_two_models(walk, page, camera)
        with _command(settings, subprocess.DEVNULL, *REQUESTS):
            walk_to_rollback(walk, page, camera)
            walk_beyond(walk, page, camera)
        browser.close()


if __name__ == "__main__":
    main()
