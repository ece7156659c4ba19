"""The language of the log: what hotswap-stream writes to Kafka and reads from it.

Standard library and msgspec only, so that any consumer can install and import it alone.
"""

from hotswap_events.codec import REGISTRY_CODEC, Codec, Decoded, UnknownEvent, UnreadableEvent, digest_of
from hotswap_events.envelope import GENESIS, Envelope, EnvelopeHeader
from hotswap_events.topics import Topics

__all__ = [
    "GENESIS",
    "REGISTRY_CODEC",
    "Codec",
    "Decoded",
    "Envelope",
    "EnvelopeHeader",
    "Topics",
    "UnknownEvent",
    "UnreadableEvent",
    "digest_of",
]
