"""By which names this server is asked: that is how a page whose name was made to point here (DNS rebinding) is known.

The browser takes such a page and this server for one and the same site, and sends that site's name as `Host`. So only
names that are known to be this server's are answered to. IP addresses always are: nobody can make one point elsewhere,
and probes, scrapers and people use them.
"""

import re
import socket
from collections.abc import Iterable
from ipaddress import ip_address

ALLOWED_REMEMBERED_MAX = 256
ANY_NAME = "*"

_HOST = re.compile(r"(?:\[(?P<bracketed>[0-9a-f:.]+)\]|(?P<name>[a-z0-9_.-]+))(?::\d{1,5})?")


class AllowedHosts:
    """Names, `*.name` for whatever ends so, or `*` for any. Case, a port and a last dot do not matter."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = {name.lower().rstrip(".") for name in names}
        self._endings = tuple(name.removeprefix("*") for name in self._names if name.startswith("*."))
        self._allowed: set[bytes] = set()

    def allow(self, host: bytes) -> bool:
        """Return whether the value of a `Host` header is one of them."""
        if host in self._allowed:
            return True
        match = _HOST.fullmatch(host.decode("latin-1").lower())
        if match is None or not self._allow_name(match):
            return False
        if len(self._allowed) < ALLOWED_REMEMBERED_MAX:
            self._allowed.add(host)
        return True

    def _allow_name(self, match: re.Match[str]) -> bool:
        name = (match["name"] or "").rstrip(".")
        if ANY_NAME in self._names or name in self._names or name.endswith(self._endings):
            return True
        try:
            ip_address(match["bracketed"] or name)
        except ValueError:
            return False
        return True


def own_names(listening_on: str) -> tuple[str, ...]:
    """Return how this server is called without being told: loopback, the host it listens on, the machine's name."""
    machine = socket.gethostname()
    return ("localhost", "*.localhost", listening_on, machine, machine.partition(".")[0], f"{machine}.local")
