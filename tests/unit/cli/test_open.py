"""`open`: the address of the page, and what is said where there is none."""

import pytest
import structlog
from typer.testing import CliRunner

from hotswap_stream.broker.ports import pick_free_ports
from hotswap_stream.cli.app import build_app
from hotswap_stream.cli.page import page_address
from hotswap_stream.settings import Settings


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        (Settings(api_port=8001), "http://127.0.0.1:8001/"),
        (Settings(api_host="0.0.0.0", api_port=8001), "http://127.0.0.1:8001/"),  # noqa: S104
        (Settings(api_host="::1", api_port=8001), "http://[::1]:8001/"),
        (Settings(api_url="https://models.example/prefix/"), "https://models.example/prefix/"),
    ],
)
def test_the_address_is_that_of_the_api(settings: Settings, address: str) -> None:
    assert page_address(settings) == address
    assert page_address(settings, "a b/c") == f"{address}#/models/a%20b%2Fc"


def test_nothing_is_opened_where_no_api_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setenv("HOTSWAP_API_PORT", str(pick_free_ports(1)[0]))
    monkeypatch.delenv("HOTSWAP_API_URL", raising=False)
    try:
        result = CliRunner().invoke(build_app(), ["open"])
        shown = CliRunner().invoke(build_app(), ["open", "digits", "--print"])
    finally:
        structlog.reset_defaults()
    assert result.exit_code == 1
    assert "hotswap-stream up" in result.output
    assert opened == []
    assert shown.output.strip().endswith("/#/models/digits")
