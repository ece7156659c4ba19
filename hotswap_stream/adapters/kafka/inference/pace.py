"""How long a request into one partition would wait, judged by the answers that come back.

Two signs, whichever is worse: how long the oldest request without an answer has waited, and what lies before a new one
divided by the rate of answers. The rate counts only while some request waits all the time, for in idle times it would
say how much is asked rather than how much can be answered.
"""

from collections import deque

BUSY_SECONDS_MIN = 0.5
"""How long some request must have waited at any time before the rate of answers is believed."""
RATE_SECONDS = 2.0
SAMPLE_SECONDS = 0.1
SENT_MARKS_MAX = 4_096


class AnswerPace:
    """Offsets sent and answered over time. Times are monotonic seconds, given by the caller."""

    def __init__(self) -> None:
        self._acknowledged = -1
        self._answered: int | None = None
        """Until an answer was seen it is taken that all before the first request are answered."""
        self._seen_answer = False
        self._busy_since = 0.0
        self._moved_at = 0.0
        self._sent: deque[tuple[int, float]] = deque()
        """Last offset of a batch of requests, and when it was acknowledged; the oldest without an answer first."""
        self._samples: deque[tuple[float, int]] = deque()

    @property
    def lag(self) -> int:
        """Return how many requests before the known end of the partition have no answer."""
        return 0 if self._answered is None else max(0, self._acknowledged - self._answered)

    def acknowledged(self, request_offset: int, now_s: float) -> None:
        """Note that requests up to this offset are in the topic."""
        if self._answered is None:
            self._answered = request_offset - 1
        if not self.lag:
            self._busy_since = self._moved_at = now_s
            self._samples.clear()
        self._acknowledged = max(self._acknowledged, request_offset)
        if self._answered < request_offset:
            if len(self._sent) >= SENT_MARKS_MAX:
                self._sent[-1] = (request_offset, self._sent[-1][1])
            else:
                self._sent.append((request_offset, now_s))

    def answered(self, request_offset: int, now_s: float) -> None:
        """Note that requests up to this offset are answered."""
        if self._seen_answer and self._answered is not None and request_offset < self._answered:
            self._acknowledged = -1  # the topic was made anew
            self._sent.clear()
            self._samples.clear()
        self._seen_answer = True
        self._answered = request_offset
        self._moved_at = now_s
        while self._sent and self._sent[0][0] <= request_offset:
            self._sent.popleft()
        if not self._samples or now_s - self._samples[-1][0] >= SAMPLE_SECONDS:
            self._samples.append((now_s, request_offset))
            while now_s - self._samples[0][0] > RATE_SECONDS:
                self._samples.popleft()

    def rate_per_s(self, now_s: float) -> float | None:
        """Return the answers per second while requests wait; None when that is not known."""
        if not self.lag or self._answered is None or now_s - self._busy_since < BUSY_SECONDS_MIN or not self._samples:
            return None
        first_s, first = self._samples[0]
        if now_s - first_s < BUSY_SECONDS_MIN or self._answered <= first:
            return None
        return (self._answered - first) / (now_s - first_s)

    def moving(self, now_s: float) -> bool:
        """Return whether answers came lately."""
        return now_s - self._moved_at < RATE_SECONDS

    def wait_s(self, now_s: float) -> float:
        """Return how long, in seconds, a request sent now is likely to wait for its answer."""
        if not self.lag:
            return 0.0
        oldest_s = now_s - self._sent[0][1] if self._sent else 0.0
        rate = self.rate_per_s(now_s)
        return max(oldest_s, self.lag / rate if rate else 0.0)
