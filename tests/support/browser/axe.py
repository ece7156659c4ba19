"""What axe-core finds on a page: what is wrong for people who cannot see it, or use no pointer."""

import tarfile
from functools import cache
from typing import Any

from playwright.sync_api import Page

from tests.support.npm_packages import npm_archive

_VERSION = "4.14.1"
_SHA512 = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def found_by_axe(page: Page) -> list[str]:
    """Return what WCAG 2.2 AA and axe's best practices say against the page as it is now: rule and place."""
    # By the debugger, which the page's content security policy does not concern.
    page.evaluate(_source())
    found: dict[str, Any] = page.evaluate("(tags) => axe.run(document, {runOnly: {type: 'tag', values: tags}})", _TAGS)
    return [
        f"{rule['id']}: {' '.join(map(str, node['target']))} ({node.get('failureSummary', '')})"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


@cache
def _source() -> str:
    with tarfile.open(npm_archive("axe-core", _VERSION, _SHA512)) as tar:
        member = tar.extractfile("package/axe.min.js")
        assert member is not None
        return member.read().decode()
