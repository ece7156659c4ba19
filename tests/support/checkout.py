"""The checkout that the tests run from: where it lies, and its modules."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@cache
def nodes_of(path: Path) -> list[ast.AST]:
    """Return all nodes of a module's tree, parsed once for all tests of a process."""
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
