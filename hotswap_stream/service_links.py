"""Variables that Kubernetes sets for each service of the namespace ("service links", after Docker's links).

A service `hotswap-api` on port 8000 gives every pod `HOTSWAP_API_PORT=tcp://10.0.0.1:8000`, `HOTSWAP_API_SERVICE_HOST`
and more. They look like settings and are none. Only what fits in name, value and the service's other variables is taken
for one: a typing error in a setting is not.
"""

import re
from collections.abc import Mapping

_SERVICE_HOST = re.compile(r"(?P<service>[A-Z0-9_]+)_SERVICE_HOST")
_URL = re.compile(r"(?:tcp|udp|sctp)://\S+:\d{1,5}")
_NUMBER = re.compile(r"\d{1,5}")
_ADDRESS = re.compile(r"[0-9A-Fa-f:.]+")
_REST: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...] = (
    (re.compile(r"_SERVICE_HOST"), _ADDRESS),
    (re.compile(r"_SERVICE_PORT(?:_[A-Z0-9_]+)?"), _NUMBER),
    (re.compile(r"_PORT(?:_\d{1,5}_(?:TCP|UDP|SCTP))?"), _URL),
    (re.compile(r"_PORT_\d{1,5}_(?:TCP|UDP|SCTP)_PROTO"), re.compile(r"tcp|udp|sctp")),
    (re.compile(r"_PORT_\d{1,5}_(?:TCP|UDP|SCTP)_PORT"), _NUMBER),
    (re.compile(r"_PORT_\d{1,5}_(?:TCP|UDP|SCTP)_ADDR"), _ADDRESS),
)
"""The rest of a variable's name after the service's name, and what its value looks like."""


def service_links(environment: Mapping[str, str], prefix: str) -> frozenset[str]:
    """Return the names of the variables with this prefix that are service links.

    A service whose name begins so has at least its address and its port; nothing is taken for a link without both.
    """
    named = {name: value for name, value in environment.items() if name.startswith(prefix)}
    services = {
        match["service"]
        for name in named
        if (match := _SERVICE_HOST.fullmatch(name)) and _is_link(match["service"], name, named[name])
    }
    services = {name for name in services if _NUMBER.fullmatch(named.get(f"{name}_SERVICE_PORT", ""))}
    return frozenset(
        name for name, value in named.items() if any(_is_link(service, name, value) for service in services)
    )


def _is_link(service: str, name: str, value: str) -> bool:
    if not name.startswith(service):
        return False
    rest = name.removeprefix(service)
    return any(pattern.fullmatch(rest) and shape.fullmatch(value) for pattern, shape in _REST)
