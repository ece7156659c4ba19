"""No parameter of a query is passed over: one that a route does not know is refused, with the one that was meant.

`?as_of=7` instead of `as_of_offset=7` would else be answered with the present.
"""

from difflib import get_close_matches
from functools import cache
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from hotswap_stream.api.protocol.mlflow_form import is_mlflow
from hotswap_stream.api.protocol.parameters import AFTER, reads_the_log
from hotswap_stream.api.protocol.problems import FieldError, ProblemError

_PREFIX = "/api/"
_LIKENESS_MIN = 0.4
CHARACTERS_SHOWN_MAX = 100


def check_parameters(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Raise ProblemError (422) for a parameter that the route does not know; under `/api`, but for MLflow's routes.

    Clients of MLflow and of the Open Inference Protocol are others'; they may send what we know nothing of.
    """
    path: str = connection.scope["path"]
    if not connection.scope["query_string"] or not path.startswith(_PREFIX) or is_mlflow(path):
        return
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
