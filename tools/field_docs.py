"""The string below a class field is its description; msgspec does not keep it, so it is read from the source."""

import ast
import inspect
import textwrap
from functools import cache


@cache
def field_docs(owner: type) -> dict[str, str]:
    """Return field name → description, for the class and its bases; fields without one are left out.

    A class that was built at run time has no source; then only its bases say something.
    """
    docs: dict[str, str] = {}
    for base in reversed(owner.__mro__):
        if base.__module__.split(".")[0] not in ("hotswap_events", "hotswap_stream"):
            continue
        try:
            source = textwrap.dedent(inspect.getsource(base))
        except (OSError, TypeError):
            continue
        body = ast.parse(source).body[0]
        if isinstance(body, ast.ClassDef):
            docs |= _docs_of_body(body)
    return docs


def _docs_of_body(body: ast.ClassDef) -> dict[str, str]:
    docs: dict[str, str] = {}
    for statement, following in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
            and isinstance(following.value.value, str)
        ):
            docs[statement.target.id] = one_line(following.value.value)
    return docs


def one_line(text: str) -> str:
    """Return the text with one blank for every run of white space."""
    return " ".join(text.split())
