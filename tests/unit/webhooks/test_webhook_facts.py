"""Webhooks as facts of the environment: what is refused, what agents' settings let them be, and where they begin."""

import base64

import pytest

from hotswap_events.log_stream import LOG_STREAM, LogEvent
from hotswap_events.webhooks import WebhookRemoved, WebhookSet
from hotswap_stream.application.log.stream import LogStream, SetWebhook
from hotswap_stream.application.webhooks.by_command import as_webhook, webhook_set, wrong_webhook
from hotswap_stream.application.webhooks.webhook import named_keys
from hotswap_stream.errors import ConfigurationError
from tests.support.samples.registry import EPOCH, in_envelope
from tests.support.webhook_receiver import OTHER_SECRET, SECRET

PAGER = webhook_set("pager", "https://pager.example/in", None, None)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (webhook_set("Pager", "https://pager.example/in", None, None), "lower-case"),
        (webhook_set("pager", "https://pager.example/in?token=hush", None, None), "has a query"),
        (webhook_set("pager", "https://ada:hush@pager.example/in", None, None), "credentials"),
        (webhook_set("pager", "ftp://pager.example/in", None, None), "http or https"),
        (webhook_set("pager", "https://pager.example/in", ["hotswap.alarm.*"], None), "matches no type"),
        (webhook_set("pager", "https://pager.example/in", None, "A b"), "signed_with"),
    ],
)
def test_what_is_wrong_is_refused_without_showing_a_secret(data: WebhookSet, words: str) -> None:
    wrong = wrong_webhook(data)
    assert wrong is not None
    assert words in wrong
    assert "hush" not in wrong
    assert wrong_webhook(PAGER) is None


def test_agents_post_only_to_their_hosts_and_only_signed() -> None:
    found = SetWebhook(PAGER, "ada", None, EPOCH, 7)
    keys = {None: (b"key",), **named_keys(f"other={SECRET},other={OTHER_SECRET}")}
    assert keys["other"] == tuple(base64.b64decode(each.removeprefix("whsec_")) for each in (SECRET, OTHER_SECRET))
    webhook = as_webhook(found, keys, ("*.example",))
    assert (webhook.problem, webhook.keys, webhook.group("prod")) == (None, (b"key",), "prod-webhook-pager-7")
    assert "not in their HOTSWAP_WEBHOOK_HOSTS" in str(as_webhook(found, keys, ()).problem)
    assert "not in their" in str(as_webhook(found, keys, ("pager.example.org",)).problem)
    named = SetWebhook(webhook_set("pager", PAGER.url, None, "third"), "ada", None, EPOCH, 7)
    assert "'third' in HOTSWAP_WEBHOOK_SECRETS is not set" in str(as_webhook(named, keys, ("*",)).problem)
    with pytest.raises(ConfigurationError, match="entry 1 is not NAME=") as error:
        named_keys(SECRET)
    assert SECRET not in str(error.value)


def test_one_that_was_removed_and_set_again_begins_anew() -> None:
    log = LogStream()
    moved = webhook_set("pager", "https://pager.example/v2", None, None)
    sinces = []
    events: tuple[LogEvent, ...] = (PAGER, moved, WebhookRemoved(name="pager"), PAGER)
    for offset, data in enumerate(events):
        log.extend(in_envelope(data, subject=LOG_STREAM, sequence=offset + 1), digest=f"{offset}", offset=offset)
        sinces.append(log.webhooks["pager"].since_offset if log.webhooks else None)
    assert sinces == [0, 0, None, 3]
    assert log.webhooks["pager"].actor == "alice"
