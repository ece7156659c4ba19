"""What libraries log is shown with a test that fails, and with no other."""

import logging
from collections.abc import Iterator
from typing import Literal

import pytest

from tests.support.library_log import LINES_MAX, LibraryLog

LIBRARY = logging.getLogger("some.library")


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[LibraryLog]:
    # Libraries that other tests use set logging up: what was there before is disabled, and the root's level changes.
    monkeypatch.setattr(LIBRARY, "disabled", False)
    LIBRARY.setLevel(logging.WARNING)
    log = LibraryLog()
    log.pytest_configure()
    yield log
    log.pytest_unconfigure()
    LIBRARY.setLevel(logging.NOTSET)


def ended(heard: LibraryLog, outcome: Literal["passed", "failed"]) -> list[tuple[str, str]]:
    """The sections of a report of a test that ends so."""
    report = pytest.TestReport("test", ("test.py", 0, "test"), {}, outcome, None, "call")
    call = pytest.CallInfo.from_call(lambda: None, "call")
    reporting = heard.pytest_runtest_makereport(call)
    next(reporting)
    with pytest.raises(StopIteration) as end:
        reporting.send(report)
    assert end.value.value is report
    return list(report.sections)


def test_a_failed_test_shows_what_was_logged_in_it(heard: LibraryLog) -> None:
    LIBRARY.warning("of an earlier test")
    heard.pytest_runtest_logstart()
    LIBRARY.warning("it is %d late", 3)
    LIBRARY.info("it goes on")
    assert ended(heard, "passed") == []
    [(_, text)] = ended(heard, "failed")
    assert "WARNING some.library: it is 3 late" in text
    assert "earlier" not in text
    assert "goes on" not in text


def test_of_much_the_last_is_kept(heard: LibraryLog) -> None:
    for number in range(LINES_MAX + 5):
        LIBRARY.error("line %d", number)
    [(_, text)] = ended(heard, "failed")
    assert len(text.splitlines()) == LINES_MAX
    assert text.endswith(f"line {LINES_MAX + 4}")


@pytest.mark.usefixtures("heard")
def test_what_is_logged_badly_fails_the_test() -> None:
    with pytest.raises(TypeError):
        LIBRARY.warning("%d and %d", 1)
