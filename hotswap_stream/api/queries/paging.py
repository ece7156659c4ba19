"""The next page of a list, by one rule: the same address, further on, in the header `Link` (RFC 8288)."""

from typing import Any
from urllib.parse import urlencode

from litestar import Request


def next_page(request: Request[Any, Any, Any], *, without: tuple[str, ...] = (), **places: int | str) -> str:
    """Return the address of the page behind this one.

    Args:
        request: What was asked.
        without: Parameters that say where this page begins.
        places: Parameters that say where the next one begins.
    """
    asked = [(name, value) for name, value in request.query_params.multi_items() if name not in (*without, *places)]
    return f"{request.url.path}?{urlencode([*asked, *places.items()])}"


def link_to(following: str | None) -> dict[str, str]:
    """Return the header that names the next page; none on the last."""
    return {} if following is None else {"Link": f'<{following}>; rel="next"'}
