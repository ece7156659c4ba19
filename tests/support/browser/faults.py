"""What a browser complains of while a test looks at the page."""

from collections.abc import Callable

from playwright.sync_api import ConsoleMessage, Page

NewPage = Callable[..., Page]
"""Open one more browser profile on the page."""


class Faults:
    """What a browser complained of: errors in the console, exceptions, and what the policy did not let in."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def watch(self, page: Page) -> None:
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.found.append(f"exception: {error}"))

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.found.append(f"{message.type}: {message.text} ({message.location.get('url')})")
