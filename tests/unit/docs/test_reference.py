"""The generated pages of docs/reference/ are those of the code."""

import pytest

from tools.generate_reference import PAGES, REFERENCE, reference_page


@pytest.mark.parametrize("name", sorted(PAGES))
def test_the_committed_page_is_that_of_the_code(name: str) -> None:
    path = REFERENCE / name
    assert path.exists(), "run: python -m tools.generate_reference"
    assert path.read_text(encoding="utf-8") == reference_page(name), "run: python -m tools.generate_reference"
