"""Which observations came already: a worker that is not sure whether one arrived sends it again."""

from hotswap_stream.application.monitoring.figures import AnswerFigures

RUNS_MAX = 20_000
"""Models in runs of workers whose place is remembered; those heard of longest ago make room."""


class Sequences:
    """Remember the place in each run of a worker and model."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], int] = {}

    def take(self, figures: AnswerFigures) -> bool:
        """Take in an observation, and return whether it is a new one."""
        key = figures.worker_run, figures.model_name
        last = self._last.pop(key, 0)
        self._last[key] = max(last, figures.sequence)
        if len(self._last) > RUNS_MAX:
            del self._last[next(iter(self._last))]
        return figures.sequence > last
