"""`/schema`: the operations as a plain page, made here, so that nothing is fetched from another host; the document."""

from html import escape
from typing import Any

from litestar import Request
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin
from litestar.serialization import encode_json

from hotswap_stream.api.protocol.document import finished

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "td{padding:.2rem .8rem .2rem 0;vertical-align:top}code{white-space:nowrap}"
    "@media(prefers-color-scheme:dark){body{background:#16181d;color:#e6e6e6}a{color:#8ab4f8}}"
)


class PlainDocsPlugin(OpenAPIRenderPlugin):
    """A table of operations by tag, and the link to the document for any OpenAPI tool."""

    def __init__(self) -> None:
        super().__init__(path="/")

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """Return the page."""
        by_tag: dict[str, list[str]] = {}
        for path, operations in openapi_schema["paths"].items():
            for method, operation in operations.items():
                if isinstance(operation, dict) and "operationId" in operation:
                    row = (
                        f"<tr><td><code>{method.upper()}</code></td><td><code>{escape(path)}</code></td>"
                        f"<td>{escape(operation.get('description') or operation.get('summary') or '')}</td></tr>"
                    )
                    by_tag.setdefault((operation.get("tags") or ["other"])[0], []).append(row)
        info = openapi_schema["info"]
        sections = "".join(f"<h2>{escape(tag)}</h2><table>{''.join(rows)}</table>" for tag, rows in by_tag.items())
        document = escape(self.get_openapi_json_route(request))
        page = (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(info["title"])}</title>'
            f"<style>{_STYLE}</style></head><body><h1>{escape(info['title'])} {escape(info['version'])}</h1>"
            f"<p>{escape(info.get('description') or '')}</p>"
            f'<p>The whole document: <a href="{document}">{document}</a> (OpenAPI 3.1)</p>{sections}</body></html>'
        )
        return page.encode()


class DocumentPlugin(JsonRenderPlugin):
    """The document. It is the same for as long as the process runs, and is made once."""

    def __init__(self) -> None:
        super().__init__()
        self._encoded: bytes | None = None

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """Return the document as JSON."""
        if self._encoded is None:
            self._encoded = encode_json(finished(request.app, openapi_schema))
        return self._encoded
