"""Making keys, giving them new secrets, and ending them: the records to write, and what is shown once."""

from datetime import datetime, timedelta

import msgspec
from msgspec import Struct

from hotswap_events.keys import ApiKey, ApiKeyRevoked, KeySecret, Scope
from hotswap_events.signing import signing_key
from hotswap_stream.application.keys.table import KeyTable
from hotswap_stream.application.keys.token import Token, new_token
from hotswap_stream.domain.reserved import ANONYMOUS, wrong_actor
from hotswap_stream.errors import HotswapError

ROTATION_SECONDS = 24 * 3_600.0
"""How long an old secret stays valid if nobody says otherwise."""
ROTATION_SECONDS_MAX = 90 * 24 * 3_600.0
LIFE_SECONDS_MAX = 10 * 366 * 24 * 3_600.0


class WrongKeyError(HotswapError):
    """The key cannot be made so, or no longer be changed."""


class UnknownKeyError(HotswapError):
    """There is no such key."""


class KeyOrder(Struct, frozen=True, kw_only=True):
    """What a new key is to be."""

    name: str
    scopes: tuple[Scope, ...]
    models: tuple[str, ...] = ()
    """Names, or beginnings of names and `*`; empty: all models."""
    valid_seconds: float | None = None
    """None: it does not expire."""
    signs: bool = False
    """Whether it signs commands on the topic, too; what they are signed with stands in the topic of the keys then."""


class NewKey(Struct, frozen=True):
    """A record to write, and the token to show once."""

    record: ApiKey
    token: Token


def made(table: KeyTable, order: KeyOrder, *, by: str, now: datetime) -> NewKey:
    """Return a new key. WrongKeyError if it cannot be so, or a valid key has its name already."""
    if wrong := _wrong(table, order, now):
        raise WrongKeyError(wrong)
    token = new_token()
    valid_until = None if order.valid_seconds is None else now + timedelta(seconds=order.valid_seconds)
    record = ApiKey(
        key_id=token.key_id,
        name=order.name,
        scopes=tuple(sorted(set(order.scopes))),
        models=order.models,
        secrets=(_secret(token, signs=order.signs),),
        created_at=now,
        created_by=by,
        expires_at=valid_until,
    )
    return NewKey(_checked(record), token)


def rotated(table: KeyTable, key: str, *, old_valid_seconds: float, now: datetime) -> NewKey:
    """Return the key with a new secret; the one it has stays valid for a while, and no other does.

    Raises:
        UnknownKeyError: There is no such key.
        WrongKeyError: It is revoked or expired, or the while does not fit.
    """
    found = _valid(table, key, now)
    if not 0 <= old_valid_seconds <= ROTATION_SECONDS_MAX:
        raise WrongKeyError(
            f"the old secret would be valid for {old_valid_seconds:g} s; 0 to {ROTATION_SECONDS_MAX:g} are possible"
        )
    token = new_token(found.key_id)
    until = now + timedelta(seconds=old_valid_seconds)
    newest = found.secrets[0]
    secrets: tuple[KeySecret, ...] = (_secret(token, signs=newest.signing is not None),)
    if old_valid_seconds > 0:
        secrets += (msgspec.structs.replace(newest, valid_until=until),)
    return NewKey(msgspec.structs.replace(found, secrets=secrets, rotated_at=now), token)


def revoked(table: KeyTable, key: str, *, by: str, reason: str | None, now: datetime) -> ApiKeyRevoked:
    """Return what ends a key for good. UnknownKeyError; WrongKeyError if it is revoked already."""
    found = named(table, key, now)
    if found.key_id in table.revoked:
        raise WrongKeyError(f"key {found.name!r} ({found.key_id}) is revoked already")
    return ApiKeyRevoked(key_id=found.key_id, at=now, by=by, reason=reason)


def named(table: KeyTable, key: str, now: datetime) -> ApiKey:
    """Return a key by its id, or by its name: the valid one of that name, else the one made last. UnknownKeyError."""
    if (found := table.keys.get(key)) is not None:
        return found
    same = [each for each in table.keys.values() if each.name == key]
    if not same:
        raise UnknownKeyError(f"there is no key with the id or the name {key[:100]!r}")
    return max(same, key=lambda each: (is_valid(table, each, now), each.created_at))


def is_valid(table: KeyTable, key: ApiKey, now: datetime) -> bool:
    """Return whether the key opens anything now."""
    return key.key_id not in table.revoked and (key.expires_at is None or key.expires_at > now)


def _secret(token: Token, *, signs: bool) -> KeySecret:
    return KeySecret(sha256=token.sha256, signing=signing_key(token.secret).hex() if signs else None)


def _valid(table: KeyTable, key: str, now: datetime) -> ApiKey:
    found = named(table, key, now)
    if not is_valid(table, found, now):
        state = "revoked" if found.key_id in table.revoked else "expired"
        raise WrongKeyError(f"key {found.name!r} ({found.key_id}) is {state}; make a new one")
    return found


def _wrong(table: KeyTable, order: KeyOrder, now: datetime) -> str | None:
    if wrong := wrong_actor(order.name):
        return wrong
    if order.name == ANONYMOUS:
        return f"{ANONYMOUS!r} is what callers without a key are called; choose another name"
    if "admin" in order.scopes and order.models:
        return "the scope 'admin' makes keys for everything, so it cannot be limited to models"
    if order.signs and not {"operate", "admin"} & set(order.scopes):
        return "a key signs commands, so it needs the scope 'operate'"
    if order.valid_seconds is not None and not 0 < order.valid_seconds <= LIFE_SECONDS_MAX:
        return f"valid for {order.valid_seconds:g} s; more than 0 and at most {LIFE_SECONDS_MAX:g} are possible"
    for key in table.keys.values():
        if key.name == order.name and is_valid(table, key, now):
            return f"key {key.key_id} has the name {order.name!r}: rotate it, revoke it, or choose another name"
    return None


def _checked(record: ApiKey) -> ApiKey:
    """Return the record if it would be read again. WrongKeyError."""
    try:
        return msgspec.convert(msgspec.to_builtins(record), ApiKey)
    except msgspec.ValidationError as error:
        raise WrongKeyError(f"the key cannot be so: {error}") from error
