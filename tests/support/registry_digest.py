"""One digest of everything a fold holds, to compare the folds of several processes."""

from hashlib import sha256

import msgspec

from hotswap_stream.application.registry.fold import RegistryFold


def states_digest(fold: RegistryFold) -> str:
    """SHA-256 of all streams: states, heads and offsets."""
    streams = {name: msgspec.to_builtins(fold.streams[name]) for name in sorted(fold.streams)}
    return sha256(msgspec.json.encode([streams, fold.applied_count, fold.void_count])).hexdigest()
