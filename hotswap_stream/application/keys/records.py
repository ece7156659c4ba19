"""Records of the keys topic as they were read: of either kind, or nothing."""

import msgspec

from hotswap_events.keys import REVOKED, ApiKey, ApiKeyRevoked
from hotswap_events.nesting import nests_too_deep

RECORD_BYTES_MAX = 65_536

_key_decoder = msgspec.json.Decoder(ApiKey)
_revoked_decoder = msgspec.json.Decoder(ApiKeyRevoked)

KeyRecord = ApiKey | ApiKeyRevoked


def key_record(record_key: bytes | None, value: bytes | None) -> KeyRecord | None:
    """Decode a record; None for any bytes that are none, or that speak of another key than the record's own."""
    if record_key is None or value is None or len(value) > RECORD_BYTES_MAX or nests_too_deep(value):
        return None
    decoder = _revoked_decoder if record_key.endswith(REVOKED.encode()) else _key_decoder
    try:
        record: KeyRecord = decoder.decode(value)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return record if record_key == record_key_of(record) else None


def record_key_of(record: KeyRecord) -> bytes:
    """Return the record key under which it is kept."""
    return f"{record.key_id}{REVOKED if isinstance(record, ApiKeyRevoked) else ''}".encode()
