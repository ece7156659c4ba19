"""Attempts that were refused: counted for `/metrics`, and logged so that many of them do not fill the log."""

import time
from collections import Counter
from typing import Literal

import structlog

_log = structlog.get_logger(__name__)

LOG_SECONDS = 10.0
"""The log is told of each reason this often at most, with how many there were meanwhile."""

Why = Literal["no-key", "unknown", "expired", "revoked", "idle", "scope", "model", "actor", "rate"]


class RefusedCallers:
    """Counts them by reason. What was shown as a key is never kept."""

    def __init__(self) -> None:
        self.counts: Counter[Why] = Counter()
        self._logged: dict[Why, tuple[float, int]] = {}

    def count(self, why: Why, *, path: str, client: str) -> None:
        """Count one, of a client that is a key's name or an address."""
        self.counts[why] += 1
        logged_s, logged_count = self._logged.get(why, (-LOG_SECONDS, 0))
        now_s = time.monotonic()
        if now_s - logged_s >= LOG_SECONDS:
            self._logged[why] = (now_s, self.counts[why])
            _log.warning(
                "request_not_permitted",
                reason=why,
                since_last=self.counts[why] - logged_count,
                path=path[:200],
                client=client[:100],
            )
