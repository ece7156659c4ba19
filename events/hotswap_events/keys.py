"""API keys on `hotswap.keys` (compacted): what a key may do, and that it may do nothing any more. Never a secret."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from hotswap_events.bounds import Text, check_time

Scope = Literal["read", "infer", "operate", "admin"]
"""`read`: what is there. `infer`: ask models, and say what came of it. `operate`: commands; includes `read`. `admin`:
keys, clean-up; includes all."""

MODELS_MAX = 100
SECRETS_MAX = 2
"""The newest and the one before it, while both are valid."""
REVOKED = "/revoked"
"""After a key's id it makes the record key of its revocation, which no later record of the key takes back."""

KeyId = Annotated[str, Meta(pattern="^[a-z0-9]{12}$")]
KeyName = Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._@-]{0,62}$")]
ModelPattern = Annotated[str, Meta(pattern=r"^([A-Za-z0-9][A-Za-z0-9_-]{0,62}|[A-Za-z0-9][A-Za-z0-9_-]{0,61}\*)$")]
"""A model's name, or what names begin with and `*`."""
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
When = Annotated[datetime, Meta(tz=True)]


class KeySecret(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One secret of a key: its SHA-256, never itself."""

    sha256: Digest
    """Of the secret's text, hex."""
    signing: Digest | None = None
    """What signs commands, made of the secret, hex; null: the key does not sign. Whoever reads it can sign."""
    valid_until: When | None = None
    """A rotation ends the old secret then; null: as long as the key."""

    def __post_init__(self) -> None:
        if self.valid_until is not None:
            check_time("valid_until", self.valid_until)


class ApiKey(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A key for the API. Its last record says what holds."""

    key_id: KeyId
    """Also the record key; it is part of the token, in clear."""
    name: KeyName
    """Who asks, in the log."""
    scopes: Annotated[tuple[Scope, ...], Meta(min_length=1, max_length=4)]
    secrets: Annotated[tuple[KeySecret, ...], Meta(min_length=1, max_length=SECRETS_MAX)]
    created_at: When
    created_by: Text
    models: Annotated[tuple[ModelPattern, ...], Meta(max_length=MODELS_MAX)] = ()
    """Only these models; empty: all."""
    expires_at: When | None = None
    rotated_at: When | None = None

    def __post_init__(self) -> None:
        for what in ("created_at", "expires_at", "rotated_at"):
            if (when := getattr(self, what)) is not None:
                check_time(what, when)


class ApiKeyRevoked(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The key opens nothing any more. It is for good: nothing that is written of the key later takes it back."""

    key_id: KeyId
    at: When
    by: Text
    reason: Text | None = None

    def __post_init__(self) -> None:
        check_time("at", self.at)
