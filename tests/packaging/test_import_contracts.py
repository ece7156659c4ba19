"""Who may import whom: the contracts in pyproject.toml hold, and they can fail."""

from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

from tests.support.checkout import ROOT


def test_the_import_contracts_hold(capsys: pytest.CaptureFixture[str]) -> None:
    status = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True, no_logo=True)
    assert status == EXIT_STATUS_SUCCESS, capsys.readouterr().out


def test_a_breach_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The domain does import the language of the log, so a contract that forbids it must break."""
    config = tmp_path / "breached.toml"
    config.write_text(
        '[tool.importlinter]\nroot_packages = ["hotswap_stream", "hotswap_events"]\n'
        '[[tool.importlinter.contracts]]\nname = "breached"\ntype = "forbidden"\n'
        'source_modules = ["hotswap_stream.domain"]\nforbidden_modules = ["hotswap_events"]\n'
    )
    assert lint_imports(config_filename=str(config), no_cache=True, no_logo=True) != EXIT_STATUS_SUCCESS
    assert "breached BROKEN" in capsys.readouterr().out


def test_a_package_without_a_place_in_the_layers_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    named = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    without = named.replace('  "domain",\n', "", 1)
    assert without != named
    config = tmp_path / "without_domain.toml"
    config.write_text(without, encoding="utf-8")
    assert lint_imports(config_filename=str(config), no_cache=True, no_logo=True) != EXIT_STATUS_SUCCESS
    assert "layers BROKEN" in capsys.readouterr().out
