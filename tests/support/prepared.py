"""Builds what many tests use before processes that share the tests are forked: `-p tests.support.prepared`.

Each of them would build it for itself otherwise: an application takes half a second, its document as long again, all
commands a tenth.
"""

import pytest
import typer.testing

from hotswap_stream.api import openapi_document
from hotswap_stream.cli.app import build_app
from tests.support.stages.reused_apps import keep_one_ready


# Before what is there by then is left out where garbage is collected, see `tests/conftest.py`.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    if session.items and not session.config.option.collectonly:
        openapi_document()
        keep_one_ready()
        typer.testing._get_command(build_app())  # type: ignore[attr-defined]
