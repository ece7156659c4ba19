"""A version that answers by its architecture's graph until what should compute it is there."""

import threading

import structlog

from hotswap_stream.adapters.models.executor import Array
from hotswap_stream.adapters.models.loaded_model import PaddedModel
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.swap.loader import Arrays, LoadedModel

_log = structlog.get_logger(__name__)


class StandIn:
    """`LoadedModel` over another, which a successor may replace between two calls of `infer`."""

    def __init__(self, first: LoadedModel) -> None:
        self._now: LoadedModel | None = first
        self._first = first
        self._one_call = threading.Lock()
        self._latest = threading.local()

    @property
    def manifest(self) -> ArtifactManifest:
        """See LoadedModel."""
        return self._first.manifest

    @property
    def executor(self) -> str:
        """See LoadedModel."""
        name: str = getattr(self._latest, "name", None) or (self._now or self._first).executor
        return name

    @property
    def is_closed(self) -> bool:
        """Whether the version is no longer in memory."""
        return self._now is None

    def padded_rows(self, rows: int) -> int:
        """See LoadedModel."""
        return (self._now or self._first).padded_rows(rows)

    def infer(self, inputs: Arrays) -> dict[str, Array]:
        """See LoadedModel."""
        with self._one_call:
            if self._now is None:
                raise RuntimeError("the model was closed")
            outputs = self._now.infer(inputs)
            self._latest.name = self._now.executor
        return dict(outputs)

    def succeed(self, successor: LoadedModel) -> bool:
        """Have the successor compute from the next call on. Any thread; it waits for a call that runs.

        Returns:
            Whether it does. It is closed where it does not: the version is gone, or the passes of the two have other
            sizes, which arrays that are being filled were made for.
        """
        with self._one_call:
            before = self._now
            fits = before is not None and _sizes(before) == _sizes(successor)
            if fits:
                self._now = successor
        if before is None or not fits:
            if before is not None:
                _log.info("stand_in_kept", what=self.manifest.what, reason="passes of other sizes")
            successor.close()
            return False
        before.close()
        return True

    def close(self) -> None:
        """See LoadedModel."""
        now, self._now = self._now, None
        if now is not None:
            now.close()


def _sizes(model: LoadedModel) -> tuple[int, ...] | None:
    return model.sizes if isinstance(model, PaddedModel) else None
