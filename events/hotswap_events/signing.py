"""Signed commands: proof, in headers of a record, that whoever holds an API key wrote this value for this topic, now.

Needed is nothing but HMAC and SHA-256, which every language has; ten lines make a signature:

    key = HKDF-SHA256(secret of the token, no salt, "hotswap-stream command v1", 32 bytes)
    signature = HMAC-SHA256(key, v1, topic, key id and time, each ended by a line feed, and the value's bytes), hex
"""

import hmac
import re
from collections.abc import Sequence
from hashlib import sha256

from msgspec import Struct

from hotswap_events import headers

_TOKEN = re.compile(r"hss_([a-z0-9]{12})_([0-9a-f]{64})")
_KEY_ID = re.compile(rb"[a-z0-9]{12}")
_TIME = re.compile(rb"[0-9]{1,15}")
_SIGNATURE = re.compile(rb"[0-9a-f]{64}")
_NAMES = (headers.KEY_ID, headers.SIGNED_AT, headers.SIGNATURE)
_INFO = b"hotswap-stream command v1"


class Signature(Struct, frozen=True, gc=False):
    """What the headers of a record say about who wrote it."""

    key_id: str
    signed_at_ms: int
    """Milliseconds since 1970 UTC, by the writer's clock."""
    hexadecimal: str


class WrongSignature(Struct, frozen=True, gc=False):
    """There is something of a signature, and it is none; `cause` says why."""

    cause: str


def signing_key(secret: str) -> bytes:
    """Return the key that a token's secret signs with. It does not give the secret back."""
    extracted = hmac.digest(bytes(32), secret.encode(), "sha256")
    return hmac.digest(extracted, _INFO + b"\x01", "sha256")


def signature_of(key: bytes, topic: str, key_id: str, signed_at_ms: int, value: bytes) -> str:
    """Return the signature of a value, hex."""
    made = hmac.new(key, f"v1\n{topic}\n{key_id}\n{signed_at_ms}\n".encode(), sha256)
    made.update(value)
    return made.hexdigest()


def signature_headers(token: str, topic: str, value: bytes, signed_at_ms: int) -> list[tuple[str, bytes]]:
    """Return the headers that sign a command.

    Args:
        token: Of a key that was made to sign.
        topic: Where the record goes.
        value: The command's bytes, as they are sent.
        signed_at_ms: Now, in milliseconds since 1970 UTC.

    Raises:
        ValueError: It is no token; it is not shown.
    """
    found = _TOKEN.fullmatch(token)
    if found is None:
        raise ValueError("not a token of hotswap-stream: hss_<key id>_<secret>")
    signed = signature_of(signing_key(found[2]), topic, found[1], signed_at_ms, value)
    return [
        (headers.KEY_ID, found[1].encode()),
        (headers.SIGNED_AT, str(signed_at_ms).encode()),
        (headers.SIGNATURE, signed.encode()),
    ]


def read_signature(record_headers: Sequence[tuple[str, bytes | None]]) -> Signature | WrongSignature | None:
    """Return what the headers of a record say; None where they say nothing of a signature. Total over any bytes."""
    said: dict[str, bytes] = {}
    for name, content in record_headers:
        if name in _NAMES:
            if name in said:
                return WrongSignature(f"the header {name} stands there twice")
            said[name] = content or b""
    if not said:
        return None
    for name, form in zip(_NAMES, (_KEY_ID, _TIME, _SIGNATURE), strict=True):
        if not form.fullmatch(said.get(name, b"")):
            return WrongSignature(f"the header {name} {'does not fit' if name in said else 'is missing'}")
    key_id, signed_at, signed = (said[name].decode() for name in _NAMES)
    return Signature(key_id, int(signed_at), signed)
