"""What rules need to know of the models' topics as they are: asked of the broker now and then, not counted."""

import math
from collections.abc import Mapping
from datetime import datetime, timedelta

from hotswap_events.alerts.events import AlertRule
from hotswap_stream.application.alerts.figures import Figure, lag_figure, split_figure, standstill_figure
from hotswap_stream.application.alerts.window import TOPIC_METRICS
from hotswap_stream.application.inference.lag import RequestLag, WaitingRequests
from hotswap_stream.application.windows.split import SplitView
from hotswap_stream.domain.state.model import ModelState

RulesOf = Mapping[str, tuple[AlertRule, ...]]
"""By model."""


class AskedTopics:
    """Keeps the last answers. Without `lag` or `split` rules on them say nothing.

    Args:
        lag: How many requests wait.
        split: Which series lie in several partitions.
        every: How often `lag` is asked.
        now: From when on.
    """

    def __init__(self, lag: RequestLag | None, split: SplitView | None, every: timedelta, now: datetime) -> None:
        self._lag, self._split, self._every, self._next = lag, split, every, now
        self._waiting: Mapping[str, WaitingRequests] = {}
        self._asked: frozenset[str] = frozenset()

    def begin_anew(self, now: datetime) -> None:
        """Ask at the next look: the clock was set back."""
        self._next = now

    async def ask(self, rules: RulesOf, now: datetime) -> None:
        """Ask about these models, if it is time to.

        Raises:
            LogUnavailableError: The broker does not say how many requests wait.
        """
        if self._split is not None:
            self._split.watch(name for name, found in rules.items() if any(_of_series(rule) for rule in found))
        if self._lag is None or now < self._next:
            return
        self._next = now + self._every
        models = {
            name: min((rule.threshold for rule in found if rule.metric == "lag"), default=math.inf)
            for name, found in rules.items()
            if any(rule.metric in TOPIC_METRICS for rule in found)
        }
        self._asked, self._waiting = frozenset(), {}
        self._waiting = await self._lag.waiting(models) if models else {}
        self._asked = frozenset(models)

    def calm(self, model_name: str) -> bool:
        """Return whether no request waits and no series is split, as far as is known."""
        waiting = self._waiting.get(model_name)
        split = None if self._split is None else self._split.of(model_name)
        return (waiting is None or not waiting.requests) and (split is None or not split.count)

    def figure(self, rule: AlertRule, model_name: str, state: ModelState) -> Figure:
        """Return the figure of a rule on the model's topics."""
        if _of_series(rule):
            return "nothing" if self._split is None else split_figure(self._split.of(model_name))
        if model_name not in self._asked:
            return "too-little"
        waiting = self._waiting.get(model_name)
        if rule.metric == "lag":
            return lag_figure(waiting)
        if state.active_version is None or state.serving.disabled:
            return "nothing"  # nobody is to answer, or by an error only
        return standstill_figure(waiting)


def _of_series(rule: AlertRule) -> bool:
    return rule.metric == "split-series"
