"""What comes before every route: requests by another name, and those that a page of another site sends."""

from collections.abc import Mapping
from typing import Any

import structlog
from litestar.types import Receive, Send

from hotswap_stream.api.protocol.allowed_hosts import AllowedHosts
from hotswap_stream.api.protocol.problems import ProblemError, encoded_problem

NAMES_LOGGED_MAX = 100
NAME_CHARACTERS_MAX = 200

_log = structlog.get_logger(__name__)


class SiteGuard:
    """ASGI: refuses with 403, also where only something is read: whatever a page gets it can carry away."""

    def __init__(self, app: Any, hosts: AllowedHosts) -> None:
        self._app = app
        self._hosts = hosts
        self._logged: set[bytes] = set()

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Refuse, or pass on to the application, as ASGI defines it."""
        if scope["type"] == "http":
            try:
                self._check(scope)
            except ProblemError as error:
                await _send(send, scope["path"], error)
                return
        await self._app(scope, receive, send)

    def _check(self, scope: Mapping[str, Any]) -> None:
        host = origin = site = mode = None
        for name, value in scope["headers"]:
            if name == b"host":
                if host is not None:
                    raise ProblemError(400, "bad-request", "there is more than one Host header")
                host = value
            elif name == b"origin":
                origin = value
            elif name == b"sec-fetch-site":
                site = value
            elif name == b"sec-fetch-mode":
                mode = value
        if host is None:
            if scope["http_version"] != "1.0":
                raise ProblemError(400, "bad-request", "the Host header is missing")
        elif not self._hosts.allow(host):
            raise self._other_name(host)
        if origin is not None and origin.partition(b"://")[2].lower() != (host or b"").lower():
            raise ProblemError(403, "forbidden", f"a page of {_text(origin)!r} may ask nothing here")
        if site not in (None, b"same-origin", b"none") and not (
            # Somebody followed a link to a page of ours.
            mode == b"navigate" and scope["method"] == "GET"
        ):
            raise ProblemError(403, "forbidden", "a page of another site may ask nothing here")

    def _other_name(self, host: bytes) -> ProblemError:
        name = _text(host).rpartition(":")[0] if _text(host).rpartition(":")[2].isdigit() else _text(host)
        if host not in self._logged and len(self._logged) < NAMES_LOGGED_MAX:
            self._logged.add(host)
            _log.warning("host_refused", host=_text(host), setting="HOTSWAP_API_ALLOWED_HOSTS")
        return ProblemError(
            403,
            "host-not-allowed",
            f"this server is not known as {name!r}: it is as 'localhost', by its machine's name and by IP addresses; "
            "set HOTSWAP_API_ALLOWED_HOSTS to its other names, as in "
            "'hotswap-api,hotswap-api.models.svc.cluster.local,*.example.com'",
        )


async def _send(send: Send, path: str, error: ProblemError) -> None:
    status, headers, body = encoded_problem(path, error)
    encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    # What is left of the body is not read.
    encoded += [(b"content-length", b"%d" % len(body)), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _text(value: bytes) -> str:
    return value[:NAME_CHARACTERS_MAX].decode("latin-1")
