"""`/` and `/assets/…`: the page itself. It holds no data, so everybody gets it; what it asks for needs a key."""

from typing import Any

from litestar import Request, Response, get
from litestar.params import FromPath

from hotswap_stream.api.access.scopes import PUBLIC
from hotswap_stream.api.page.assets import INDEX, Asset, AssetFolder
from hotswap_stream.api.protocol.problems import ProblemError

HEADERS = {
    # Nothing inline and nothing of other hosts: what somebody gets into a name or a reason cannot run here.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_FOREVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"

_NOT_BUILT = b"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>hotswap-stream</title>
<meta name="viewport" content="width=device-width"></head>
<body><h1>hotswap-stream</h1>
<p>The API runs; its page was not built. In a checkout, <code>make page</code> builds it.
An installed package has it.</p>
<p><a href="/schema">What the API answers</a></p></body></html>
"""

_folder = AssetFolder()

AnyRequest = Request[Any, Any, Any]


@get("/", opt=PUBLIC, include_in_schema=False)
async def index(request: AnyRequest) -> Response[bytes]:
    """The page; where it was not built, one that says how it is."""
    found = _folder.find(INDEX)
    if found is None:
        headers = {**HEADERS, "Cache-Control": "no-store"}
        return Response(_NOT_BUILT, media_type="text/html; charset=utf-8", headers=headers)
    return _sent(request, found)


@get("/assets/{name:str}", opt=PUBLIC, include_in_schema=False)
async def asset(request: AnyRequest, name: FromPath[str]) -> Response[bytes]:
    """One file of the page. ProblemError (404) where there is none of this name."""
    found = _folder.find(name)
    if found is None:
        raise ProblemError(404, "not-found", f"the page has no file {name[:100]!r}")
    return _sent(request, found)


def _sent(request: AnyRequest, found: Asset) -> Response[bytes]:
    headers = {
        **HEADERS,
        "Cache-Control": _FOREVER if found.forever else _ASK_AGAIN,
        "ETag": found.etag,
        "Vary": "Accept-Encoding",
    }
    if found.etag in request.headers.get("if-none-match", ""):
        return Response(b"", status_code=304, media_type=found.media_type, headers=headers)
    if found.zipped is not None and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(found.zipped, media_type=found.media_type, headers={**headers, "Content-Encoding": "gzip"})
    return Response(found.body, media_type=found.media_type, headers=headers)


PAGE_ROUTES = (index, asset)
