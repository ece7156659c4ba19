"""Keys as they are shown: what each may do and whether it does, and nothing of its secrets but how long they last."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from hotswap_events.keys import ApiKey, Scope
from hotswap_stream.application.keys.changes import NewKey, named
from hotswap_stream.application.keys.table import KeyTable

KeyState = Literal["active", "expired", "revoked"]


class ShownKey(Struct, frozen=True, kw_only=True):
    """A key without its secret."""

    key_id: str
    name: str
    """The actor of what is done with it."""
    state: KeyState
    scopes: tuple[Scope, ...]
    models: tuple[str, ...]
    """Names, or beginnings of names and `*`; empty: all models."""
    created_at: datetime
    created_by: str
    signs: bool = False
    """Whether it signs commands on the topic, too."""
    expires_at: datetime | None = None
    rotated_at: datetime | None = None
    old_secret_valid_until: datetime | None = None
    """End of the secret before the last rotation, while it is valid."""
    revoked_at: datetime | None = None
    revoked_by: str | None = None
    revoked_because: str | None = None


class KeyWithSecret(ShownKey, frozen=True, kw_only=True):
    """A key that was made, or has a new secret. `token` is shown this once."""

    token: str


def shown_keys(table: KeyTable, now: datetime) -> tuple[ShownKey, ...]:
    """Return all keys, those that open something first, by name."""
    found = [_shown(table, key, now) for key in table.keys.values()]
    return tuple(sorted(found, key=lambda key: (key.state != "active", key.name, key.created_at)))


def shown_key(table: KeyTable, key: str, now: datetime) -> ShownKey:
    """Return one key by its id or name. UnknownKeyError."""
    return _shown(table, named(table, key, now), now)


def with_secret(table: KeyTable, new: NewKey, now: datetime) -> KeyWithSecret:
    """Return what is shown of a new secret, once."""
    shown = _shown(table, new.record, now)
    fields = {name: getattr(shown, name) for name in ShownKey.__struct_fields__}
    return KeyWithSecret(**fields, token=new.token.text)


def _shown(table: KeyTable, key: ApiKey, now: datetime) -> ShownKey:
    revoked = table.revoked.get(key.key_id)
    state: KeyState = "active"
    if revoked is not None:
        state = "revoked"
    elif key.expires_at is not None and key.expires_at <= now:
        state = "expired"
    older = [secret.valid_until for secret in key.secrets if secret.valid_until is not None]
    return ShownKey(
        key_id=key.key_id,
        name=key.name,
        state=state,
        scopes=key.scopes,
        models=key.models,
        created_at=key.created_at,
        created_by=key.created_by,
        signs=key.secrets[0].signing is not None,
        expires_at=key.expires_at,
        rotated_at=key.rotated_at,
        old_secret_valid_until=next((until for until in older if until > now), None),
        revoked_at=None if revoked is None else revoked.at,
        revoked_by=None if revoked is None else revoked.by,
        revoked_because=None if revoked is None else revoked.reason,
    )
