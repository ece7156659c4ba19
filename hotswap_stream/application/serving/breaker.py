"""When a version fails too often or answers too slowly: counts over a sliding window, then probes when tried again.

Pure and synchronous: time comes in as an argument. One call a batch, whatever its size.
"""

from collections import deque
from typing import Literal

from msgspec import Struct

from hotswap_events.serving.control import ServingPolicy

BUCKETS = 10
"""A window slides in steps of this part of it."""

PROBE_SHARE_MIN = 0.0001
REPEAT_SECONDS = 5.0
"""What was decided is said again after this long while nothing has come of it."""


class Trip(Struct, frozen=True):
    """The window says that the version must not go on answering."""

    cause: Literal["error-rate", "latency"]
    figures: dict[str, float]
    """What was measured, and what is allowed."""


class _Bucket(Struct):
    started_s: float
    answers: int = 0
    errors: int = 0
    slow: int = 0


class AnswerWindow:
    """The latest answers of one version, in at most `2 * BUCKETS + 2` counts."""

    def __init__(self, policy: ServingPolicy) -> None:
        self._policy = policy
        self._bucket_seconds = policy.window_seconds / BUCKETS
        self._bucket_answers = max(1, policy.window_answers_max // BUCKETS)
        self._buckets: deque[_Bucket] = deque()
        self._answers = self._errors = self._slow = 0

    def add(self, answers: int, errors: int, slow: int, now_s: float) -> None:
        """Count a batch: `errors` and `slow` are parts of its `answers`."""
        newest = self._buckets[-1] if self._buckets else None
        if newest is None or now_s - newest.started_s >= self._bucket_seconds or newest.answers >= self._bucket_answers:
            newest = _Bucket(now_s)
            self._buckets.append(newest)
        newest.answers += answers
        newest.errors += errors
        newest.slow += slow
        self._answers += answers
        self._errors += errors
        self._slow += slow
        self._forget(now_s)

    def trip(self) -> Trip | None:
        """Return what is wrong with the answers in the window, if there are enough of them."""
        policy, answers = self._policy, self._answers
        if answers < policy.answers_min:
            return None
        error_rate, slow_share = self._errors / answers, self._slow / answers
        if policy.error_rate_max is not None and error_rate > policy.error_rate_max:
            figures = {"error_rate": error_rate, "error_rate_max": policy.error_rate_max, "answers": answers}
            return Trip("error-rate", figures)
        if policy.latency_ms_max is not None and slow_share > policy.slow_share_max:
            return Trip(
                "latency",
                {
                    "slow_share": slow_share,
                    "slow_share_max": policy.slow_share_max,
                    "latency_ms_max": policy.latency_ms_max,
                    "answers": answers,
                },
            )
        return None

    def _forget(self, now_s: float) -> None:
        buckets = self._buckets
        while len(buckets) > 1 and (
            now_s - buckets[0].started_s > self._policy.window_seconds
            or self._answers - buckets[0].answers >= self._policy.window_answers_max
        ):
            oldest = buckets.popleft()
            self._answers -= oldest.answers
            self._errors -= oldest.errors
            self._slow -= oldest.slow


class CircuitBreaker:
    """One model's windows, by version. A window with an open verdict repeats it every `REPEAT_SECONDS`."""

    def __init__(self, policy: ServingPolicy) -> None:
        self.policy = policy
        self._windows: dict[str, AnswerWindow] = {}
        self._tripped_at_s: dict[str, float] = {}

    def observe(self, model_version: str, *, answers: int, errors: int, slow: int, now_s: float) -> Trip | None:
        """Count a batch that this version answered.

        Args:
            model_version: The version.
            answers: How many answers there are.
            errors: How many are the model's own failures, no caller's mistakes.
            slow: How many took longer than `policy.latency_ms_max`.
            now_s: Monotonic seconds.

        Returns:
            What is wrong with the version, if that is to be told now.
        """
        window = self._windows.get(model_version)
        if window is None:
            window = self._windows[model_version] = AnswerWindow(self.policy)
        window.add(answers, errors, slow, now_s)
        trip = window.trip()
        if trip is None or now_s - self._tripped_at_s.get(model_version, -REPEAT_SECONDS) < REPEAT_SECONDS:
            return None
        self._tripped_at_s[model_version] = now_s
        return trip

    def reset(self, model_version: str) -> None:
        """Forget what this version answered."""
        self._windows.pop(model_version, None)
        self._tripped_at_s.pop(model_version, None)


ProbeVerdict = Literal["close", "reopen"]


class ProbePlan:
    """Which requests are probes while a circuit is half-open, and what they say.

    `policy.probes` passes in a row close the circuit, the first failure opens it again.
    """

    def __init__(self, policy: ServingPolicy) -> None:
        self._probes = policy.probes
        # By the rules a share is in these bounds; an event that somebody wrote by hand may say anything.
        self._every = round(1 / min(1.0, max(PROBE_SHARE_MIN, policy.probe_share)))
        self._skipped = self._every - 1
        """Requests since the last probe; the first request is one."""
        self._under_way = 0
        self.passed = 0
        self.failed = 0

    def pick(self, requests: int) -> tuple[int, ...]:
        """Choose which of the next `requests` requests go to the guarded version; then `observe` each.

        Returns:
            Indices among those requests, ascending.
        """
        picked: list[int] = []
        room = 0 if self.failed else self._probes - self.passed - self._under_way
        index = self._every - 1 - self._skipped
        while len(picked) < room and index < requests:
            picked.append(index)
            index += self._every
        skipped = requests - 1 - picked[-1] if picked else self._skipped + requests
        # Once enough are under way many may be skipped; when some of those are lost, the next request is one.
        self._skipped = min(skipped, self._every - 1)
        self._under_way += len(picked)
        return tuple(picked)

    def observe(self, *, passed: int = 0, failed: int = 0, lost: int = 0) -> ProbeVerdict | None:
        """Take in what came of probes: `lost` ones were never answered by the version and may be sent again."""
        self._under_way = max(0, self._under_way - passed - failed - lost)
        self.passed += passed
        self.failed += failed
        return self.verdict

    def forget_under_way(self) -> None:
        """Take all probes that were picked and not observed for lost."""
        self._under_way = 0

    @property
    def verdict(self) -> ProbeVerdict | None:
        """What the probes say so far."""
        if self.failed:
            return "reopen"
        return "close" if self.passed >= self._probes else None
