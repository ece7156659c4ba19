"""Shows what libraries logged while a test ran, if it failed.

pytest's own plugin puts its handlers on the forty loggers of libraries that do not pass on what they are told, six
times for each test: seconds of a run. Here one handler stays on the root for the whole run. It is also why a library's
warning does not come to standard error, which tests compare.
"""

import logging
from collections import deque
from collections.abc import Generator

import pytest

LINES_MAX = 200
"""The last ones are kept."""


class LibraryLog(logging.Handler):
    """Both the handler and the plugin, in each process that runs tests."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
        self._lines: deque[str] = deque(maxlen=LINES_MAX)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record as text. What is logged badly, such as with too few arguments, raises in the test."""
        self._lines.append(self.format(record))

    def pytest_configure(self) -> None:
        """Begin to listen."""
        logging.getLogger().addHandler(self)

    def pytest_unconfigure(self) -> None:
        """Listen no more."""
        logging.getLogger().removeHandler(self)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self) -> None:
        """Forget what was logged in other tests. Listen again, if one of them set logging up anew."""
        self._lines.clear()
        logging.getLogger().addHandler(self)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Add to the report of what failed what was logged up to then."""
        report = yield
        if report.failed and self._lines:
            report.sections.append((f"Logged by libraries until {call.when} ended", "\n".join(self._lines)))
        return report
