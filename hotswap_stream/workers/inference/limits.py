"""Limits of one model's loop, and how its requests are gathered into batches."""

from msgspec import Struct

from hotswap_stream.workers.inference.requests.requests import KEY_BYTES_MAX

WAIT_MS_MAX = 10_000.0


class Batching(Struct, frozen=True):
    """How one model's requests are gathered into batches; may change while they are."""

    size_max: int
    wait_ms_max: float


class LoopLimits(Struct, frozen=True, kw_only=True):
    """Limits of one model's loop."""

    batch_size_max: int = 128
    batch_wait_ms_max: float = 0.0
    """How long a batch that is not full waits for more requests. 0: it takes what is there."""
    request_bytes_max: int = 4 * 1024**2
    response_bytes_max: int = 8 * 1024**2
    answers_in_flight_max: int = 10_000
    """Answers handed to the Kafka client and not yet acknowledged; at this many, no more requests are taken."""
    answer_key_bytes_max: int = KEY_BYTES_MAX
    """An answer carries its request's key; a request with a longer one is refused, without it."""
    request_id_window: int = 10_000
    """Requests of a partition among which an id may stand once only; 0: ids may repeat."""

    def batching(self, size_max: int | None = None, wait_ms_max: float | None = None) -> Batching:
        """Return the batching that a model's policy wants, within these limits; None: as these limits say."""
        # By the rules a policy is in bounds; an event that somebody wrote by hand may say anything.
        return Batching(
            max(1, min(size_max or self.batch_size_max, self.batch_size_max)),
            self.batch_wait_ms_max if wait_ms_max is None else min(WAIT_MS_MAX, max(0.0, wait_ms_max)),
        )

    window_keys_max: int = 10_000
    """Series of a partition whose windows are kept; of more, those that brought steps longest ago make room."""
