"""The checkout that the tests run from: where it lies, and its modules."""

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@cache
def nodes_of(path: Path) -> list[ast.AST]:
    """Return all nodes of a module's tree, parsed once for all tests of a process."""
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def naming(paths: Iterable[Path], names: Iterable[str]) -> Iterator[Path]:
    """Give the modules whose text has one of these names: in the trees of all others none of them stands.

    To parse all modules of the product takes seconds, and to look through their trees as long again.
    """
    wanted = re.compile(rf"\b(?:{'|'.join(map(re.escape, names))})\b")
    return (path for path in paths if wanted.search(path.read_text(encoding="utf-8")))
