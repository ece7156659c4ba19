"""What is posted: the event's bytes, under headers that somebody else's receiver verifies."""

import base64
from datetime import UTC, datetime

import msgspec
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from hotswap_stream.application.topics.records import InboundRecord
from hotswap_stream.application.webhooks.message import event_type, message_of, signature, trial_message
from tests.support.samples.registry import LogBuilder, trained
from tests.support.webhook_receiver import OTHER_SECRET, SECRET

KEY, OTHER_KEY = (base64.b64decode(each.removeprefix("whsec_")) for each in (SECRET, OTHER_SECRET))
EVENT = LogBuilder().append(trained("v1")).records[0].value or b""


def record(value: bytes) -> InboundRecord:
    return InboundRecord(topic="hotswap.registry", partition=0, offset=41, timestamp_ms=0, key=b"digits", value=value)


def test_the_published_example_of_the_specification_gives_its_signature() -> None:
    body = b'{"test": 2432232314}'
    assert (
        signature(KEY, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body)
        == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


def test_the_bytes_of_the_log_are_the_body_and_the_event_s_id_is_the_message_s() -> None:
    message = message_of(record(EVENT))
    headers = message.headers([KEY], datetime.now(UTC))
    assert message.body == EVENT
    assert headers["webhook-id"] == msgspec.json.decode(EVENT)["id"]
    assert headers["content-type"] == "application/cloudevents+json; charset=UTF-8"
    assert (headers["hotswap-topic"], headers["hotswap-partition"], headers["hotswap-offset"]) == (
        "hotswap.registry",
        "0",
        "41",
    )
    assert Webhook(SECRET).verify(message.body, headers) == msgspec.json.decode(EVENT)


@pytest.mark.parametrize("secret", [SECRET, OTHER_SECRET])
def test_each_of_several_secrets_verifies(secret: str) -> None:
    message = message_of(record(EVENT))
    headers = message.headers([KEY, OTHER_KEY], datetime.now(UTC))
    assert Webhook(secret).verify(message.body, headers)["subject"] == "digits"


@pytest.mark.parametrize("changed", ["body", "webhook-id", "webhook-timestamp", "secret"])
def test_whatever_is_changed_breaks_the_signature(changed: str) -> None:
    message, now = message_of(record(EVENT)), datetime.now(UTC)
    headers, body = message.headers([KEY], now), message.body
    if changed == "body":
        body = body.replace(b"digits", b"digitz")
    elif changed == "webhook-id":
        headers[changed] = "another"
    elif changed == "webhook-timestamp":
        headers[changed] = str(int(now.timestamp()) + 1)
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER_SECRET if changed == "secret" else SECRET).verify(body, headers)


@pytest.mark.parametrize("event_id", ["a.b", "line\nbreak", "ü", "", "x" * 129])
def test_an_id_that_could_not_stand_in_a_header_gives_way_to_the_event_s_digest(event_id: str) -> None:
    value = msgspec.json.encode({"type": "hotswap.model.trained.v1", "id": event_id})
    message = message_of(record(value))
    assert message.message_id.startswith("sha256-")
    assert message.message_id == message_of(record(value)).message_id
    assert Webhook(SECRET).verify(message.body, message.headers([KEY], datetime.now(UTC)))["id"] == event_id


def test_a_body_that_is_no_text_is_signed_as_it_is() -> None:
    value = b'{"type":"hotswap.model.frozen.v1","id":"e-1","data":"\xff"}'
    assert message_of(record(value)).headers([KEY], datetime.now(UTC))["webhook-signature"].startswith("v1,")


def test_types_are_read_of_what_is_an_event() -> None:
    assert event_type(EVENT) == "hotswap.model.trained.v1"
    assert event_type(b"not an event") is None
    assert event_type(b"[" * 100_000) is None


def test_a_trial_is_a_cloud_event_that_is_not_in_the_log() -> None:
    message = trial_message("t-1", source="/hotswap/cli", at=datetime.now(UTC))
    event = Webhook(SECRET).verify(message.body, message.headers([KEY], datetime.now(UTC)))
    assert {"specversion", "type", "id", "source", "time", "data"} <= set(event)
    assert event["type"] == "hotswap.webhook.test.v1"
    assert "hotswap-offset" not in message.headers([KEY], datetime.now(UTC))
