"""The checkout that the tests run from: where it lies, and its modules."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@cache
def parsed(path: Path) -> ast.Module:
    """Return the tree of a module, parsed once for all tests of a process."""
    return ast.parse(path.read_text(encoding="utf-8"))
