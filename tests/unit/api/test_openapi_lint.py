"""Redocly's rules find nothing in `schemas/openapi.json`."""

from pathlib import Path

import pytest

from tests.support.generators.tools import OF_OPENAPI, SECONDS_MAX, npm_modules, run_node
from tools.generate_schemas import SCHEMAS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(SECONDS_MAX * 2)]


def test_redocly_finds_nothing(tmp_path: Path) -> None:
    redocly = npm_modules(OF_OPENAPI) / "@redocly/cli/bin/cli.js"
    said = run_node(redocly, "lint", SCHEMAS / "openapi.json", cwd=tmp_path)
    assert "valid" in said
    assert "warning" not in said.replace("Deprecation warning", ""), said
