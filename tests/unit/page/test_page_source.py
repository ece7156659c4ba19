"""The page's source: it is typed against the API's document, its own tests pass, and what is built is small."""

import gzip
from pathlib import Path

import pytest

from tests.support.checkout import ROOT
from tools.build_page import ASSETS, build, check_types, first_modules, run_tests, visits

GZIP_BYTES_MAX = 40 * 1024
ALL_GZIP_BYTES_MAX = 54 * 1024


@pytest.fixture(scope="module")
def assets() -> Path:
    build(ROOT)
    return ROOT / ASSETS


@pytest.mark.slow
def test_it_is_typed_against_the_document_of_the_api() -> None:
    assert check_types(ROOT) == ""


def test_its_own_tests_pass() -> None:
    said = run_tests(ROOT)
    assert "# fail 0" in said, said
    assert "# tests 0" not in said


def test_what_a_visit_loads_is_small_wherever_it_begins(assets: Path) -> None:
    sizes = {path.name: len(gzip.compress(path.read_bytes())) for path in assets.iterdir()}
    loaded = {group: sum(sizes[name] for name in names) for group, names in visits(assets).items()}
    assert set(loaded) == {"overview", "acting", "reading", "keeping"}
    assert max(loaded.values()) <= GZIP_BYTES_MAX, (loaded, sizes)
    assert sum(sizes.values()) <= ALL_GZIP_BYTES_MAX, sizes
    assert {name for names in visits(assets).values() for name in names} == set(sizes), "a file that nothing loads"


def test_nothing_in_it_is_inline_or_from_elsewhere(assets: Path) -> None:
    document = (assets / "index.html").read_text(encoding="utf-8")
    assert "style=" not in document
    assert "<style" not in document
    assert "//" not in document
    assert document.count("<script") == document.count('src="assets/main-') == 1
    assert document.count("modulepreload") == len(first_modules(assets)) - 1
