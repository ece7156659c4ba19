"""What the log shows of an exception: where it was, and not what the variables there held."""

from collections.abc import Iterator
from typing import Literal

import pytest
import structlog

from hotswap_stream.observability.logging import configure_logging


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_logged_exception_shows_no_local_variables(
    log_format: Literal["console", "json"], capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("info", log_format)

    def failing(token: str) -> None:
        raise ValueError(f"{len(token)} characters")

    try:
        failing("".join(["hunt", "er"]))
    except ValueError:
        structlog.get_logger().exception("it_failed")
    said = capsys.readouterr().err
    assert "it_failed" in said
    assert "in failing" in said
    assert "ValueError: 6 characters" in said
    assert "hunter" not in said
