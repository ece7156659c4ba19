"""The text that a caller shows: a prefix that scanners for leaked secrets know, the key's id in clear, and the secret.

A secret is 256 random bits, so its SHA-256 is kept and no slow hash: a slow hash makes guessing costly where people
choose, and nobody guesses 256 bits. Nobody can choose a secret; they are always made here.
"""

import hashlib
import re
import secrets

from msgspec import Struct

PREFIX = "hss"
TOKEN_CHARACTERS = len(PREFIX) + 1 + 12 + 1 + 64
_TOKEN = re.compile(rf"{PREFIX}_([a-z0-9]{{12}})_([0-9a-f]{{64}})")
_ID_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
"""Without those that look like another."""


class Token(Struct, frozen=True):
    """A token in its parts."""

    key_id: str
    secret: str

    @property
    def text(self) -> str:
        """Return what a caller shows."""
        return f"{PREFIX}_{self.key_id}_{self.secret}"

    @property
    def sha256(self) -> str:
        """Return what is kept of the secret."""
        return digest_of(self.secret)

    def __repr__(self) -> str:
        return f"Token({self.key_id}, ***)"


def new_token(key_id: str | None = None) -> Token:
    """Return a token with a fresh secret, of this key or of a new one."""
    fresh = "".join(secrets.choice(_ID_LETTERS) for _ in range(12))
    return Token(key_id or fresh, secrets.token_hex(32))


def read_token(text: str) -> Token | None:
    """Return the token in a text; None if it is none."""
    if len(text) != TOKEN_CHARACTERS or (found := _TOKEN.fullmatch(text)) is None:
        return None
    return Token(found[1], found[2])


def digest_of(secret: str) -> str:
    """Return the SHA-256 of a secret's text, hex."""
    return hashlib.sha256(secret.encode()).hexdigest()
