"""Waits of a loop's thread: each ends by what it waits for, by the stop, or by its limit."""

import threading
import time

from confluent_kafka import KafkaError, KafkaException

STUCK_SECONDS_MAX = 60.0
"""What Kafka does not take in this time ends this life of the loop; the next begins after the last answer."""
STOP_SECONDS_MAX = 5.0
"""Whoever was asked to stop waits no longer for Kafka. What was not sent, the next worker answers."""


class Wait:
    """Bound one wait. Call `check` as long as it goes on, and `progress` when some of what it waits for has come."""

    def __init__(self, stopping: threading.Event, what: str, *, seconds_max: float = STUCK_SECONDS_MAX) -> None:
        self._stopping = stopping
        self._what = what
        self._seconds_max = seconds_max
        self._since_s = time.monotonic()
        self._stopping_since_s: float | None = None

    def progress(self) -> None:
        """Let the limit count from here; that of the stop does not."""
        self._since_s = time.monotonic()

    def check(self) -> None:
        """Raise KafkaException when it went on for too long."""
        now_s = time.monotonic()
        if now_s - self._since_s > self._seconds_max:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"{self._what} for {self._seconds_max:g} s"))
        if self._stopping.is_set():
            if self._stopping_since_s is None:
                self._stopping_since_s = now_s
            elif now_s - self._stopping_since_s > STOP_SECONDS_MAX:
                reason = f"{self._what} for {STOP_SECONDS_MAX:g} s after the stop"
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, reason))

    def pause(self, seconds: float) -> None:
        """Wait for a moment, or until the stop; then `check`."""
        self._stopping.wait(seconds)
        self.check()
