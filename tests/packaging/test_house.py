"""The house is one that a stranger can read: rooms without circles, none of them crowded, each says what it holds.

Who may import whom between layers is said in pyproject.toml and checked in `test_import_contracts.py`. Here are the
rules that hold inside every layer.
"""

import ast
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"hotswap_stream": ROOT / "hotswap_stream", "hotswap_events": ROOT / "events" / "hotswap_events"}
MODULES_MAX = 16

TIERS = ("unit", "property", "contract", "integration", "fault")
"""Folders of tests that have rooms of the product's names."""
ROOMS_OF_TESTS_ALONE = {"docs", "events", "page", "settings", "soak", "torture"}

Imports = Mapping[str, Iterable[str]]


@cache
def _imports() -> dict[str, set[str]]:
    """Return what each module imports of ours, also inside functions and for type checking alone."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


def _circle(imports: Imports) -> list[str]:
    """Return one circle as a list of names, the first of them again at the end, or nothing where there is none."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found[::-1]  # the sorter lists the imported before the importer
    return []


def _circles_between_rooms(imports: Imports) -> dict[str, list[str]]:
    """Return package → one circle among its children, for each package that has one.

    A child is a module or a whole package: `a.b` imports `a.c` as soon as anything inside `a.b` imports anything
    inside `a.c`.
    """
    rooms: defaultdict[str, defaultdict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for importer, all_imported in imports.items():
        for imported in all_imported:
            pairs = zip(importer.split("."), imported.split("."), strict=False)
            for depth, (ours, theirs) in enumerate(pairs):
                if ours != theirs:
                    rooms[".".join(importer.split(".")[:depth])][ours].add(theirs)
                    break
    return {package: circle for package, graph in rooms.items() if (circle := _circle(graph))}


def _crowded(package: Path, modules_max: int) -> dict[str, int]:
    """Return folder → number of its modules, for each folder that holds more than `modules_max`."""
    modules = Counter(path.parent for path in package.rglob("*.py") if path.name != "__init__.py")
    return {str(folder.relative_to(package.parent)): n for folder, n in modules.items() if n > modules_max}


def _silent(package: Path) -> list[str]:
    """Return the folders with modules that are no package, or whose package says nothing about itself."""

    def speaks(folder: Path) -> bool:
        path = folder / "__init__.py"
        return path.exists() and bool(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))))

    folders = {path.parent for path in package.rglob("*.py")}
    return sorted(str(folder.relative_to(package.parent)) for folder in folders if not speaks(folder))


def _misplaced(tests: Path, rooms: set[str]) -> list[str]:
    """Return the test modules of the tiers that are in no room, or in one that has no name of `rooms`."""
    modules = [path.relative_to(tests) for tier in TIERS for path in (tests / tier).rglob("test_*.py")]
    return sorted(str(path) for path in modules if len(path.parts) != 3 or path.parts[1] not in rooms)


def test_no_modules_import_each_other_in_a_circle() -> None:
    imports = _imports()
    assert len(imports) > 100
    assert _circle(imports) == []


def test_no_rooms_import_each_other_in_a_circle() -> None:
    assert _circles_between_rooms(_imports()) == {}


@pytest.mark.parametrize("name", PACKAGES)
def test_no_folder_is_crowded(name: str) -> None:
    assert _crowded(PACKAGES[name], MODULES_MAX) == {}


@pytest.mark.parametrize("name", PACKAGES)
def test_every_package_says_what_it_holds(name: str) -> None:
    assert _silent(PACKAGES[name]) == []


def test_the_tiers_of_tests_have_the_same_rooms() -> None:
    rooms = {path.parent.name for path in PACKAGES["hotswap_stream"].rglob("__init__.py")}
    assert _misplaced(ROOT / "tests", rooms | ROOMS_OF_TESTS_ALONE) == []
    assert {room for room in _crowded(ROOT / "tests", MODULES_MAX) if room.split("/")[1] in TIERS} == set()


def test_a_circle_of_modules_is_found() -> None:
    assert _circle({"p.a": {"p.b"}, "p.b": {"p.c"}, "p.c": set()}) == []
    circle = _circle({"p.a": {"p.b"}, "p.b": {"p.c"}, "p.c": {"p.a"}, "p.d": {"p.a"}})
    assert circle[0] == circle[-1]
    assert set(pairwise(circle)) == {("p.a", "p.b"), ("p.b", "p.c"), ("p.c", "p.a")}


def test_a_circle_of_rooms_is_found_where_no_modules_make_one() -> None:
    """No module is in a circle, and yet `p.x.left` and `p.x.right` cannot be understood one after the other."""
    imports = {
        "p.x.left.one": {"p.x.right.one"},
        "p.x.right.two": {"p.x.left.two"},
        "p.x.right.one": {"p.y"},
        "p.x": {"p.x.left.one"},
    }
    assert _circle(imports) == []
    circles = _circles_between_rooms(imports)
    assert set(circles) == {"p.x"}
    assert set(circles["p.x"]) == {"left", "right"}


def test_a_crowded_folder_and_a_silent_one_are_found(tmp_path: Path) -> None:
    room = tmp_path / "p" / "room"
    room.mkdir(parents=True)
    (tmp_path / "p" / "__init__.py").write_text('"""The package."""\n')
    for name in ("__init__.py", "a.py", "b.py", "c.py"):
        (room / name).write_text("")
    assert _crowded(tmp_path / "p", 2) == {"p/room": 3}
    assert _crowded(tmp_path / "p", 3) == {}
    assert _silent(tmp_path / "p") == ["p/room"]


def test_a_test_without_a_room_is_found(tmp_path: Path) -> None:
    for name in ("unit/test_a.py", "unit/alerts/test_b.py", "fault/utils/test_c.py", "fault/alerts/deep/test_d.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert _misplaced(tmp_path, {"alerts"}) == [
        "fault/alerts/deep/test_d.py",
        "fault/utils/test_c.py",
        "unit/test_a.py",
    ]
