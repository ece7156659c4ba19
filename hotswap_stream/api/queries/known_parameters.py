"""No parameter of a query is passed over: one that a route does not know is refused, with the one that was meant.

`?as_of=7` instead of `as_of_offset=7` would else be answered with the present, and so would `?as_of_offset=null`, which
msgspec takes for a value that is not there.
"""

from difflib import get_close_matches
from functools import cache
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.typing import FieldDefinition

from hotswap_stream.api.protocol.mlflow_form import is_mlflow
from hotswap_stream.api.protocol.parameters import AFTER, reads_the_log
from hotswap_stream.api.protocol.problems import FieldError, ProblemError

_PREFIX = "/api/"
_LIKENESS_MIN = 0.4
_NULL = "null"
CHARACTERS_SHOWN_MAX = 100


def check_parameters(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Raise ProblemError (422) for a parameter under `/api` that the route does not know, or that is null.

    Clients of MLflow and of the Open Inference Protocol are others'; they may send what we know nothing of.
    """
    path: str = connection.scope["path"]
    if not connection.scope["query_string"] or not path.startswith(_PREFIX):
        return
    if not is_mlflow(path):
        _check_known(connection, handler, path)
    for name, value in connection.query_params.items():
        if value.lower() == _NULL and name in _parameters_of(handler) - _texts_of(handler):
            message = f"{name}: {value!r} is no value; leave the parameter out"
            raise ProblemError(
                422, "invalid-request", message, errors=(FieldError(message=message, key=name, source="query"),)
            )


def _check_known(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler, path: str) -> None:
    known = _parameters_of(handler) - connection.path_params.keys()
    if connection.scope.get("method") in ("GET", "HEAD") and reads_the_log(path):
        known |= {AFTER}
    unknown = [name for name in connection.query_params if name not in known]
    if unknown:
        raise _unknown(unknown[0], sorted(known), len(unknown))


@cache
def _parameters_of(handler: BaseRouteHandler) -> frozenset[str]:
    """Return the names of the parameters that a handler, or what it depends on, takes; those in its path among them."""
    return frozenset(each.field_alias for each in handler.create_kwargs_model({}).expected_query_params)


@cache
def _texts_of(handler: BaseRouteHandler) -> frozenset[str]:
    """Return the names of the parameters that take any text, be it "null"."""
    texts = set[str]()
    signatures = (
        handler.parsed_fn_signature,
        *(each.parsed_fn_signature for each in handler.resolve_dependencies().values()),
    )
    for signature in signatures:
        for name, field in signature.parameters.items():
            said = field.kwarg_definition
            if _takes_text(field):
                texts.add(getattr(said, "query", None) or getattr(said, "name", None) or name)
    return frozenset(texts)


def _takes_text(field: FieldDefinition) -> bool:
    return field.annotation is str or any(map(_takes_text, field.inner_types))


def _unknown(name: str, known: list[str], count: int) -> ProblemError:
    shown = name[:CHARACTERS_SHOWN_MAX]
    nearest = " or ".join(map(repr, get_close_matches(shown, known, 2, _LIKENESS_MIN)))
    there_is = f"it takes {', '.join(known)}" if known else "it takes none"
    meant = f"did you mean {nearest}?" if nearest else there_is
    also = f" (and {count - 1} more)" if count > 1 else ""
    message = f"there is no parameter {shown!r} here{also}; {meant}"
    return ProblemError(
        422,
        "unknown-parameter",
        message,
        legal=tuple(known),
        errors=(FieldError(message=message, key=shown, source="query"),),
    )
