"""The latest progress of each run, as a fold of its topic. What cannot be read is passed over, counted, said once."""

import msgspec
import structlog

from hotswap_events.training.progress import TrainingProgressed

RUNS_KEPT_MAX = 10_000
"""Runs whose progress is remembered; those that were heard of longest ago make room."""
VALUE_BYTES_MAX = 786_432

_log = structlog.get_logger(__name__)
_decoder = msgspec.json.Decoder(TrainingProgressed)


class ProgressFold:
    """Folds records of the topic, whatever their bytes."""

    def __init__(self) -> None:
        self.latest: dict[str, TrainingProgressed] = {}
        """Run → its last progress; those heard of last come last."""
        self.heard: dict[str, int] = {}
        """Run → how many records of it were read: it grows while its runner lives."""
        self.passed_over = 0
        """Records that could not be read."""

    def apply(self, key: bytes | None, value: bytes | None) -> TrainingProgressed | None:
        """Take in one record; return it if it is one."""
        if value is None:
            run_id = (key or b"").decode(errors="replace")
            self.latest.pop(run_id, None)
            self.heard.pop(run_id, None)
            return None
        progress = _read(key, value)
        if progress is None:
            self._pass_over(key, value)
            return None
        self.latest.pop(progress.run_id, None)
        self.latest[progress.run_id] = progress
        self.heard[progress.run_id] = self.heard.get(progress.run_id, 0) + 1
        if len(self.latest) > RUNS_KEPT_MAX:
            oldest = next(iter(self.latest))
            del self.latest[oldest]
            self.heard.pop(oldest, None)
        return progress

    def of(self, run_id: str, model_name: str, runner: str | None = None) -> TrainingProgressed | None:
        """Return the last progress of a run; what names another model or another runner is somebody else's word."""
        found = self.latest.get(run_id)
        if found is None or found.model_name != model_name or runner not in (None, found.runner):
            return None
        return found

    def _pass_over(self, key: bytes | None, value: bytes) -> None:
        self.passed_over += 1
        if self.passed_over == 1:
            _log.warning("training_progress_unreadable", key=repr((key or b"")[:100]), value=repr(value[:100]))


def _read(key: bytes | None, value: bytes) -> TrainingProgressed | None:
    if len(value) > VALUE_BYTES_MAX:
        return None
    try:
        progress = _decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError, OverflowError):
        return None
    return progress if key == progress.run_id.encode() else None
