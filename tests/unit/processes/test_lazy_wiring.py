"""Each process imports the wiring of its own parts alone."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from hotswap_stream import bootstrap


def test_the_names_are_those_that_type_checkers_see() -> None:
    seen = {
        (node.module, alias.name)
        for node in ast.walk(ast.parse(Path(bootstrap.__file__).read_text()))
        if isinstance(node, ast.ImportFrom) and node.level == 0 and (node.module or "").startswith(bootstrap.__name__)
        for alias in node.names
    }
    named = {(f"{bootstrap.__name__}.{module}", name) for module, names in bootstrap.NAMES_OF.items() for name in names}
    assert named == seen
    assert len({name for _, name in named}) == len(named)


def test_each_name_is_there() -> None:
    for module, names in bootstrap.NAMES_OF.items():
        for name in names:
            assert getattr(bootstrap, name) is getattr(sys.modules[f"{bootstrap.__name__}.{module}"], name)
            assert name in dir(bootstrap)
    with pytest.raises(AttributeError, match="no attribute 'no_such_part'"):
        _ = bootstrap.no_such_part


def test_nothing_is_imported_before_it_is_named() -> None:
    code = (
        "import sys, hotswap_stream.bootstrap as b; print(*[m for m in sys.modules if m.startswith(b.__name__ + '.')])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not ran.stdout.strip()
