"""Idempotency keys that were used: the same one again is the same command, and with another payload it is a mistake.

The log makes sure that nothing applies twice. What it cannot tell is that somebody gave two commands one key, of which
the second would be taken for done. So each server remembers what it was asked under the latest keys.
"""

from collections import OrderedDict
from hashlib import sha256

KEYS_MAX = 10_000

Payload = tuple[str, str, bytes]
"""Who asked, under which key, and the digest of what."""


def payload_of(actor: str, key: str, method: str, path: str, body: bytes) -> Payload:
    """Return what a request asks under a key."""
    digest = sha256(f"{method} {path}\n".encode())
    digest.update(body)
    return actor, key, digest.digest()


class RepeatedKeys:
    """Remembers KEYS_MAX of them, the latest ones."""

    def __init__(self) -> None:
        self._digests: OrderedDict[tuple[str, str], bytes] = OrderedDict()

    def used_otherwise(self, payload: Payload) -> bool:
        """Return whether the caller used the key for something else."""
        actor, key, digest = payload
        return self._digests.get((actor, key), digest) != digest

    def keep(self, payload: Payload) -> None:
        """Remember what was carried out under a key."""
        actor, key, digest = payload
        self._digests[actor, key] = digest
        self._digests.move_to_end((actor, key))
        if len(self._digests) > KEYS_MAX:
            self._digests.popitem(last=False)
