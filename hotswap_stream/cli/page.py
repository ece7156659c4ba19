"""`open`: the page of the API, in the browser."""

from typing import TYPE_CHECKING, Annotated

import typer

from hotswap_stream.cli.terminal.running import fail_with, prepared_settings

if TYPE_CHECKING:
    from hotswap_stream.settings import Settings

ANSWER_SECONDS_MAX = 3.0


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("open")(open_page)


def open_page(
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="The page of this model.", show_default=False)
    ] = None,
    show: Annotated[bool, typer.Option("--print", help="Only print the address.")] = False,
) -> None:
    """Open the page in the browser: all models, live, with their history and what may be done.

    The page is that of the API that HOTSWAP_API_URL, or the context, names; else of the one that `up` runs here.
    """
    import webbrowser

    from hotswap_stream.errors import HotswapError

    try:
        address = page_address(prepared_settings(quiet=True), model)
        if not show:
            check_answers(address)
    except HotswapError as error:
        fail_with(error)
    typer.echo(address)
    if not show and not webbrowser.open(address):
        typer.echo("no browser was found here: open the address in one", err=True)


def page_address(settings: "Settings", model: str | None = None) -> str:
    """Return where the page is: of the whole system, or of one model."""
    from urllib.parse import quote

    host = "127.0.0.1" if settings.api_host in ("0.0.0.0", "::") else settings.api_host  # noqa: S104
    named = f"[{host}]" if ":" in host else host
    scheme = "http" if settings.api_tls_certificate_file is None else "https"
    base = (settings.api_url or f"{scheme}://{named}:{settings.api_port}").rstrip("/")
    return f"{base}/" if model is None else f"{base}/#/models/{quote(model, safe='')}"


def check_answers(address: str) -> None:
    """Raise HotswapError unless an API answers there: a browser would say no more than that nothing is there."""
    import httpx

    from hotswap_stream.errors import HotswapError

    try:
        httpx.get(address.partition("#")[0], timeout=ANSWER_SECONDS_MAX)
    except httpx.HTTPError as error:
        raise HotswapError(f"no API answers at {address} ({error}); `hotswap-stream up` starts one") from error
