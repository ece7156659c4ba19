"""The keys of an environment in memory, folded from their topic: whose a token is, and what it opens."""

import hmac
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal

import structlog

from hotswap_events.bounds import TIME_MIN
from hotswap_events.keys import REVOKED, ApiKey, ApiKeyRevoked, KeySecret
from hotswap_stream.application.keys.records import key_record
from hotswap_stream.application.keys.token import Token
from hotswap_stream.observability.floods import is_logged

_log = structlog.get_logger(__name__)

KEYS_MAX = 100_000

_ID = re.compile("[a-z0-9]{12}")

NotValid = Literal["unknown", "expired", "revoked"]


class KeyTable:
    """The last of the records under one record key holds, also where it cannot be read: then there is no such key.

    That is what is left after compaction, so a reader that starts later comes to the same.
    """

    def __init__(self) -> None:
        self._keys: dict[str, ApiKey] = {}
        self._revoked: dict[str, ApiKeyRevoked] = {}
        self.unreadable = 0

    @property
    def keys(self) -> Mapping[str, ApiKey]:
        """Return all keys by id, the revoked and expired ones too."""
        return self._keys

    @property
    def revoked(self) -> Mapping[str, ApiKeyRevoked]:
        """Return the revocations by key id."""
        return self._revoked

    def apply(self, record_key: bytes | None, value: bytes | None) -> None:
        """Fold one record; one that cannot be read is counted and opens nothing."""
        record = key_record(record_key, value)
        if isinstance(record, ApiKeyRevoked):
            self._keep(self._revoked, record)
        elif record is not None:
            self._keep(self._keys, record)
        else:
            self._drop((record_key or b"")[:100].decode(errors="replace"), gone=value is None)

    def _keep(self, kept: dict[str, Any], record: ApiKey | ApiKeyRevoked) -> None:
        if record.key_id in kept or len(kept) < KEYS_MAX:
            kept[record.key_id] = record
        else:
            self._count_unreadable(record.key_id, f"there are {KEYS_MAX} keys already")

    def _drop(self, name: str, *, gone: bool) -> None:
        key_id = name.removesuffix(REVOKED)
        if key_id == name:
            self._keys.pop(name, None)
        elif gone:
            self._revoked.pop(key_id, None)
        elif _ID.fullmatch(key_id):
            # What revokes a key and cannot be read is taken at its word.
            self._keep(self._revoked, ApiKeyRevoked(key_id=key_id, at=TIME_MIN, by="a record that cannot be read"))
        if not gone:
            self._count_unreadable(name, "it cannot be read")

    def find(self, token: Token, now: datetime) -> ApiKey | NotValid:
        """Return the key that a token belongs to, or why it opens nothing.

        Whoever does not know the secret learns of no key that it exists.
        """
        return self.find_digest(token.key_id, token.sha256, now)

    def find_digest(self, key_id: str, presented: str, now: datetime) -> ApiKey | NotValid:
        """Return the key with this id, if this is the digest of a secret of it that is valid; else why not."""
        return self.find_by(key_id, lambda secret: hmac.compare_digest(secret.sha256, presented), now)

    def find_by(self, key_id: str, is_shown: Callable[[KeySecret], bool], now: datetime) -> ApiKey | NotValid:
        """Return the key with this id, if one of its valid secrets is shown; else why not."""
        key, valid_secret = self._keys.get(key_id), False
        for secret in () if key is None else key.secrets:
            if is_shown(secret):
                if secret.valid_until is not None and secret.valid_until <= now:
                    return "expired"
                valid_secret = True
        if key is None or not valid_secret:
            return "unknown"
        if key.key_id in self._revoked:
            return "revoked"
        if key.expires_at is not None and key.expires_at <= now:
            return "expired"
        return key

    def _count_unreadable(self, name: str, why: str) -> None:
        self.unreadable += 1
        if is_logged(self.unreadable):
            _log.warning("key_record_passed_over", count=self.unreadable, key=name, cause=why)
