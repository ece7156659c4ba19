"""Idempotency keys that were used: the same one again is the same command, and with another payload it is a mistake.

The log makes sure that nothing applies twice. What it cannot tell is that somebody gave two commands one key, of which
the second would be taken for done. So each server remembers what it was asked under the latest keys.
"""

from collections import OrderedDict
from hashlib import sha256
from typing import Any

from litestar import Request

from hotswap_stream.api.protocol.problems import ProblemError

KEYS_MAX = 10_000

Payload = tuple[str, str, bytes]
"""Who asked, under which key, and the digest of what."""


async def payload_of(request: Request[Any, Any, Any], actor: str, key: str) -> Payload:
    """Return what a request asks under a key."""
    digest = sha256(f"{request.method} {request.url.path}\n".encode())
    digest.update(await request.body())
    return actor, key, digest.digest()


class RepeatedKeys:
    """Remembers KEYS_MAX of them, the latest ones."""

    def __init__(self) -> None:
        self._digests: OrderedDict[tuple[str, str], bytes] = OrderedDict()

    def check(self, payload: Payload) -> None:
        """Raise ProblemError (422) if the caller used the key for something else."""
        actor, key, digest = payload
        if self._digests.get((actor, key), digest) != digest:
            raise ProblemError(
                422,
                "idempotency-mismatch",
                f"the Idempotency-Key {key!r} was used for another command of yours: a new command needs a new key",
            )

    def keep(self, payload: Payload) -> None:
        """Remember what was carried out under a key."""
        actor, key, digest = payload
        self._digests[actor, key] = digest
        self._digests.move_to_end((actor, key))
        if len(self._digests) > KEYS_MAX:
            self._digests.popitem(last=False)
