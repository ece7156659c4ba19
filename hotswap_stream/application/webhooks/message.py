"""What is posted for an event: its bytes as they are in the log, under headers that prove who sent them.

CloudEvents over HTTP, structured mode: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
Standard Webhooks 1.0: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hmac
import re
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256

import msgspec
from msgspec import Struct

from hotswap_events.envelope import CONTENT_TYPE
from hotswap_stream.application.topics.records import InboundRecord
from hotswap_stream.application.webhooks.webhook import SECRET_PREFIX

WEBHOOK_ID = "webhook-id"
WEBHOOK_TIMESTAMP = "webhook-timestamp"
WEBHOOK_SIGNATURE = "webhook-signature"
TOPIC = "hotswap-topic"
PARTITION = "hotswap-partition"
OFFSET = "hotswap-offset"
"""Where the event is in the log; not signed."""

ALERT_EVENTS = "hotswap.alert."
SNOOZE_ENDED_EVENTS = "hotswap.alert.snooze-ended."
"""Say something to listeners only where an alert goes on."""

TEST_EVENT_TYPE = "hotswap.webhook.test.v1"
FRESH_SECRET_BYTES = 32

_SAFE_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


class _Glimpse(Struct, frozen=True, gc=False):
    """What is needed of an event that counts."""

    type: str
    id: str


class _AlertData(Struct, frozen=True, gc=False):
    """What is needed of an event of an alert."""

    snoozed: bool = False
    raised_sequence: int | None = None


class _AlertGlimpse(Struct, frozen=True, gc=False):
    data: _AlertData


_alert_decoder = msgspec.json.Decoder(_AlertGlimpse)
_decoder = msgspec.json.Decoder(_Glimpse)


class Message(Struct, frozen=True, kw_only=True):
    """One message: the same id and body in every attempt."""

    message_id: str
    body: bytes
    origin: tuple[tuple[str, str], ...] = ()

    def headers(self, keys: Iterable[bytes], at: datetime) -> dict[str, str]:
        """Return all headers of an attempt made at that time."""
        timestamp = str(int(at.timestamp()))
        return {
            "content-type": CONTENT_TYPE,
            WEBHOOK_ID: self.message_id,
            WEBHOOK_TIMESTAMP: timestamp,
            WEBHOOK_SIGNATURE: " ".join(signature(key, self.message_id, timestamp, self.body) for key in keys),
            **dict(self.origin),
        }


def signature(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """Return the signature of Standard Webhooks, scheme v1.

    It is over bytes: a body need not be text to be signed as it is.
    """
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    return f"v1,{base64.b64encode(hmac.digest(key, signed, sha256)).decode()}"


def event_type(value: bytes) -> str | None:
    """Return the stored type name; None for what is no event."""
    glimpse = _glimpse(value)
    return None if glimpse is None else glimpse.type


def is_snoozed(event_type_name: str, value: bytes) -> bool:
    """Return whether the event is of an alert that nobody wanted to hear of at that time."""
    if not event_type_name.startswith(ALERT_EVENTS):
        return False
    try:
        data = _alert_decoder.decode(value).data
    except msgspec.MsgspecError:
        return False
    if event_type_name.startswith(SNOOZE_ENDED_EVENTS):
        return data.raised_sequence is None
    return data.snoozed


def message_of(record: InboundRecord) -> Message:
    """Return the message about an event of the log.

    Its id is the event's, which receivers may know it by again; where that could not stand in a header, the digest of
    the event.
    """
    body = record.value or b""
    glimpse = _glimpse(body)
    usable = glimpse is not None and _SAFE_ID.fullmatch(glimpse.id)
    return Message(
        message_id=glimpse.id if glimpse is not None and usable else f"sha256-{sha256(body).hexdigest()}",
        body=body,
        origin=((TOPIC, record.topic), (PARTITION, str(record.partition)), (OFFSET, str(record.offset))),
    )


def trial_message(message_id: str, *, source: str, at: datetime) -> Message:
    """Return a CloudEvent that says nothing but that it arrived. It is not in the log."""
    event = {
        "specversion": "1.0",
        "type": TEST_EVENT_TYPE,
        "id": message_id,
        "source": source,
        "time": at.astimezone(UTC),
        "datacontenttype": "application/json",
        "data": {"text": "A test: nothing happened."},
    }
    return Message(message_id=message_id, body=msgspec.json.encode(event))


def fresh_secret() -> str:
    """Return a secret that was never used, as receivers and HOTSWAP_WEBHOOK_SECRET take it."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(FRESH_SECRET_BYTES)).decode()


def _glimpse(value: bytes) -> _Glimpse | None:
    try:
        return _decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
