"""Whose a presented key is, and what its owner may do; the keys of the topic and those of the settings alike."""

import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from msgspec import Struct

from hotswap_events.keys import ApiKey, Scope
from hotswap_stream.application.keys.port import KeyLog
from hotswap_stream.application.keys.table import NotValid
from hotswap_stream.application.keys.token import digest_of, read_token

Openness = Literal["loopback", "anybody"]
"""Who needs no key: callers of the same machine, or nobody does."""

_INCLUDED: Mapping[Scope, frozenset[Scope]] = {
    "read": frozenset({"read"}),
    "infer": frozenset({"infer"}),
    "operate": frozenset({"operate", "read"}),
    "admin": frozenset({"admin", "operate", "infer", "read"}),
}


class Caller(Struct, frozen=True, kw_only=True):
    """Who asks."""

    name: str | None
    """The key's name; None: nobody in particular, where no key is needed."""
    scopes: frozenset[Scope]
    """All that the key's scopes include."""
    models: tuple[str, ...] = ()
    """Names, or beginnings of names and `*`; empty: all."""
    key_id: str | None = None
    """None: a key of the settings, or none."""

    def may_on(self, model_name: str) -> bool:
        """Return whether the model is one of the caller's."""
        return not self.models or any(
            model_name.startswith(pattern[:-1]) if pattern.endswith("*") else model_name == pattern
            for pattern in self.models
        )


class KeyProof(Struct, frozen=True, kw_only=True):
    """That somebody has shown a key: which one, and the digest of the secret that it was."""

    owner: str
    """The key's id; of a key of the settings, its name."""
    of_settings: bool
    sha256: str


def caller_of_key(key: ApiKey) -> Caller:
    """Return who holds a key."""
    scopes = frozenset[Scope]().union(*(_INCLUDED[scope] for scope in key.scopes))
    return Caller(name=key.name, scopes=scopes, models=key.models, key_id=key.key_id)


ANYBODY = Caller(name=None, scopes=_INCLUDED["admin"])


class Access:
    """Tells callers by their keys. `settings_keys` are name → key, and may do everything."""

    def __init__(
        self, settings_keys: Mapping[str, str], log: KeyLog | None = None, open_to: Openness | None = None
    ) -> None:
        self.open_to = open_to
        self._log = log
        self._settings_keys = {name: key.encode() for name, key in settings_keys.items()}
        self._callers: dict[str, tuple[ApiKey, Caller]] = {}
        """By key id, as long as the key is the same."""

    @property
    def has_keys(self) -> bool:
        """Return whether there are any keys by which callers could be told."""
        return bool(self._settings_keys) or (self._log is not None and bool(self._log.table.keys))

    def caller(self, presented: str, now: datetime) -> Caller | NotValid:
        """Return who shows this key, or why it opens nothing.

        It takes the same time whichever key it is and however much of it is right.
        """
        token = read_token(presented)
        if token is not None and self._log is not None:
            found = self._log.table.find(token, now)
            if isinstance(found, ApiKey):
                return self._of(found)
            if found != "unknown":
                return found
        owner = self._owner_in_settings(presented)
        return "unknown" if owner is None else Caller(name=owner, scopes=_INCLUDED["admin"])

    def proof(self, presented: str, now: datetime) -> KeyProof | NotValid:
        """Return what to remember of whoever shows this key, or why it opens nothing."""
        found = self.caller(presented, now)
        if isinstance(found, str):
            return found
        token = read_token(presented)
        if found.key_id is None or token is None:
            return KeyProof(owner=found.name or "", of_settings=True, sha256=digest_of(presented))
        return KeyProof(owner=found.key_id, of_settings=False, sha256=token.sha256)

    def caller_by(self, proof: KeyProof, now: datetime) -> Caller | NotValid:
        """Return who showed a key before, if that very secret opens anything still; else why not."""
        if proof.of_settings:
            key = self._settings_keys.get(proof.owner)
            same = key is not None and hmac.compare_digest(digest_of(key.decode()), proof.sha256)
            return Caller(name=proof.owner, scopes=_INCLUDED["admin"]) if same else "unknown"
        found = "unknown" if self._log is None else self._log.table.find_digest(proof.owner, proof.sha256, now)
        return self._of(found) if isinstance(found, ApiKey) else found

    def _owner_in_settings(self, presented: str) -> str | None:
        owner, given = None, presented.encode()
        for name, key in self._settings_keys.items():
            if hmac.compare_digest(key, given):
                owner = name
        return owner

    def _of(self, key: ApiKey) -> Caller:
        known = self._callers.get(key.key_id)
        if known is not None and known[0] is key:
            return known[1]
        caller = caller_of_key(key)
        self._callers[key.key_id] = (key, caller)
        return caller
