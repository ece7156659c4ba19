"""The map of the house is right: paths that documents name are there, and CONTRIBUTING shows every room."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
# The change log tells of releases whose files may be gone.
DOCUMENTS = sorted(
    path for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")] if path != ROOT / "CHANGELOG.md"
)
TREE_DEPTH = 2

_PATH = re.compile(
    r"`((?:hotswap_stream|events|tests|docs|examples|benchmarks|tools|schemas|\.github|\.ci)/[\w./-]*)(?:::\w+)?`"
)
_TREE_LINE = re.compile(r"( *)(\w+)/(?: {2,}\S.*)?")


def _absent(text: str) -> list[str]:
    """Return the paths, from the root of the repository, that the text names and nobody finds."""
    return [path for path in _PATH.findall(text) if not (ROOT / path).exists()]


def _drawn(tree: str, top: str) -> set[str]:
    """Return the folders below `top` that the tree shows, as paths from `top`, at most `TREE_DEPTH` deep.

    Each level is indented by two spaces.
    """
    shown: set[str] = set()
    way: list[str] = []
    for line in tree.splitlines():
        if drawn := _TREE_LINE.fullmatch(line):
            way = [*way[: len(drawn[1]) // 2], drawn[2]]
            if way[0] == top and 1 < len(way) <= TREE_DEPTH + 1:
                shown.add("/".join(way[1:]))
    return shown


def _rooms(package: Path) -> set[str]:
    """Return the packages inside the package, as paths from it, at most `TREE_DEPTH` deep."""
    folders = (path.parent.relative_to(package) for path in package.rglob("__init__.py"))
    return {str(folder) for folder in folders if 0 < len(folder.parts) <= TREE_DEPTH}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_paths_that_are_named_exist(document: Path) -> None:
    assert _absent(document.read_text(encoding="utf-8")) == []


def test_the_tree_shows_every_room() -> None:
    tree = re.findall(r"^```text\n(.*?)^```", CONTRIBUTING.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)[0]
    drawn, there = _drawn(tree, "hotswap_stream"), _rooms(ROOT / "hotswap_stream")
    assert (there - drawn, drawn - there) == (set(), set()), "not in CONTRIBUTING.md; only there"


def test_a_wrong_map_is_found() -> None:
    assert _absent("see `hotswap_stream/settings.py`, `tests/unit/` and `hotswap_stream/nowhere.py`") == [
        "hotswap_stream/nowhere.py"
    ]
    tree = "docs/\n  guides/\ntop/  the top\n  layer/  a layer\n    room/  a room\n      deeper/\n  other/\n"
    assert _drawn(tree, "top") == {"layer", "layer/room", "other"}
