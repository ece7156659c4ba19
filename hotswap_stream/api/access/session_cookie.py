"""The cookie of a session: how it is called and set, and when a request that shows it may change something.

A browser sends a cookie with whatever a page makes it send, so a cookie alone does not say that our page asked. What
changes something must come from a page of this very origin, as the browser says by `Sec-Fetch-Site` or, where it is
older, by `Origin`. A request with a valid key in its headers needs neither: no page can make a browser add that.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from litestar.datastructures import Cookie

from hotswap_stream.api.protocol.problems import ProblemError

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
ID_CHARACTERS_MAX = 64
_NAME = "hotswap_session"

Headers = Iterable[tuple[bytes, bytes]]


def cookie_name(headers: Headers) -> str:
    """Return the name of the cookie. Each port has its own: browsers give a cookie to all ports of a host."""
    for name, value in headers:
        if name == b"host":
            port = value.decode("latin-1").rpartition(":")[2]
            return f"{_NAME}_{port}" if port.isascii() and port.isdigit() else _NAME
    return _NAME


def presented_session(headers: Headers) -> str | None:
    """Return the session's id in a request's headers, right or wrong."""
    wanted = None
    for name, value in headers:
        if name == b"cookie" and _NAME.encode() in value:
            wanted = wanted or cookie_name(headers)
            for pair in value.decode("latin-1").split(";"):
                key, _, session_id = pair.strip().partition("=")
                if key == wanted and 0 < len(session_id) <= ID_CHARACTERS_MAX:
                    return session_id
    return None


def session_cookie(scope: Mapping[str, Any], session_id: str, seconds_max: float) -> Cookie:
    """Return the cookie to set; `seconds_max` 0 takes it away.

    Behind a proxy that ends TLS only the browser knows how it asks: it says so in `Origin`.
    """
    tls = scope.get("scheme") == "https" or any(
        name == b"origin" and value.startswith(b"https://") for name, value in scope["headers"]
    )
    return Cookie(
        key=cookie_name(scope["headers"]),
        value=session_id,
        max_age=int(seconds_max),
        path="/",
        httponly=True,
        samesite="strict",
        secure=tls,
    )


def check_same_origin(scope: Mapping[str, Any]) -> None:
    """Raise ProblemError (403) for what would change something and was not sent by a page of this origin."""
    if scope["method"] in SAFE_METHODS:
        return
    found = {name: value for name, value in scope["headers"] if name in (b"sec-fetch-site", b"origin", b"host")}
    site = found.get(b"sec-fetch-site")
    if site is not None:
        same = site == b"same-origin"
    else:
        origin = found.get(b"origin", b"").partition(b"://")[2]
        same = bool(origin) and origin.lower() == found.get(b"host", b"").lower()
    if not same:
        raise ProblemError(
            403,
            "forbidden",
            "a session opens this to our own page alone, and the request does not say that it comes from there: "
            "programs show a key in the header 'X-API-Key' instead",
        )
