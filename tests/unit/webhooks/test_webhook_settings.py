"""Webhooks from the settings: read, refused with what would be right, never shown."""

import base64

import pytest

from hotswap_stream.application.webhooks.message import fresh_secret
from hotswap_stream.application.webhooks.webhook import Webhook, webhooks_of
from hotswap_stream.bootstrap import configured_webhooks
from hotswap_stream.errors import ConfigurationError
from hotswap_stream.settings import load_settings
from tests.support.webhook_receiver import OTHER_SECRET, SECRET

HOOK = "https://alerts.example/hook?token=hush-hush"


def read(urls: str | None = HOOK, secret: str | None = SECRET, events: str = "hotswap.alert.*") -> tuple[Webhook, ...]:
    return webhooks_of(urls, secret, events, timeout_ms=10_000, retry_seconds_max=3_600.0)


def test_no_urls_are_no_webhooks() -> None:
    assert read(None, None) == read(" , ") == ()


def test_a_webhook_has_a_name_of_its_own_or_one_from_its_url() -> None:
    pager, first, second = read(f"pager={HOOK}, {HOOK},https://alerts.example/hook")
    assert (pager.name, pager.url) == ("pager", HOOK)
    assert first.name.startswith("alerts-example-")
    assert first.name != second.name
    assert read(HOOK)[0].name == first.name, "the position is found again after a restart"
    assert pager.group("prod") == "prod-webhook-pager"


def test_an_equals_sign_in_a_query_makes_no_name() -> None:
    assert read("http://localhost:8080/?a=b")[0].url == "http://localhost:8080/?a=b"


def test_several_secrets_all_sign() -> None:
    (webhook,) = read(secret=f"{SECRET} {OTHER_SECRET}")
    assert webhook.keys == tuple(base64.b64decode(each.removeprefix("whsec_")) for each in (SECRET, OTHER_SECRET))


def test_a_fresh_secret_is_taken() -> None:
    assert fresh_secret() != fresh_secret()
    assert len(read(secret=fresh_secret())[0].keys[0]) == 32


def test_types_are_matched_by_patterns() -> None:
    (webhook,) = read(events="hotswap.alert.*, hotswap.rollout.completed.v1")
    assert webhook.wants("hotswap.alert.raised.v1")
    assert webhook.wants("hotswap.rollout.completed.v1")
    assert not webhook.wants("hotswap.rollout.started.v1")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://alerts.example/hook", "no scheme http or https"),
        ("alerts.example/hook", "no scheme http or https"),
        ("https:///hook", "no scheme http or https and a host"),
        ("https://alerts.example:port/hook", "is not a URL"),
        ("https://hush:hush@alerts.example/", "has credentials before '@'"),
        ("https://alerts.example/#hush", "has a fragment"),
        ("https://alerts.example/a b", "must be written as %XX"),
        ("https://bücher.example/", "xn--"),
        (f"https://alerts.example/{'a' * 2_048}", "characters; at most 2048"),
        ("Pager=https://alerts.example/", "the name 'Pager' is not of lower-case letters"),
        ("one=https://alerts.example/", "the name 'one' stands there twice"),
    ],
)
def test_a_wrong_url_is_refused(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match="HOTSWAP_WEBHOOK_URLS: entry 2") as error:
        read(f"one=https://first.example/,{url}")
    assert said in str(error.value)
    assert "hush" not in str(error.value)


@pytest.mark.parametrize(
    "secret",
    [
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_",
        "whsec_not-base64!not-base64!not-base64!",
        f"whsec_{base64.b64encode(bytes(23)).decode()}",
        f"whsec_{base64.b64encode(bytes(65)).decode()}",
    ],
)
def test_a_wrong_secret_is_refused_without_showing_it(secret: str) -> None:
    with pytest.raises(ConfigurationError, match="secret 2 is not 'whsec_' and the base64 of 24 to 64 bytes") as error:
        read(secret=f"{SECRET} {secret}")
    assert len(secret) <= len("whsec_") or secret not in str(error.value)
    assert SECRET not in str(error.value)


def test_nothing_is_posted_unsigned() -> None:
    with pytest.raises(ConfigurationError, match="HOTSWAP_WEBHOOK_SECRET is not: what is posted is signed"):
        read(secret=None)


@pytest.mark.parametrize("events", ["hotswap.alert.rased.v1", "promoted", "", "*;"])
def test_a_pattern_must_match_a_type_of_event(events: str) -> None:
    with pytest.raises(ConfigurationError, match="HOTSWAP_WEBHOOK_EVENTS"):
        read(events=events)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("WEBHOOK_TIMEOUT_MS", "99", "99 is not between 100 and 60000"),
        ("WEBHOOK_RETRY_SECONDS_MAX", "-1", "-1.0 is not between 0 and 604800"),
        ("WEBHOOK_RETRY_SECONDS_MAX", "nan", "nan is not between"),
    ],
)
def test_limits_have_limits(name: str, value: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=f"HOTSWAP_{name}: {said}"):
        configured_webhooks(load_settings({f"HOTSWAP_{name}": value}))


def test_secrets_and_queries_are_not_shown() -> None:
    settings = load_settings({"HOTSWAP_WEBHOOK_URLS": f"pager={HOOK}", "HOTSWAP_WEBHOOK_SECRET": SECRET})
    (webhook,) = configured_webhooks(settings)
    assert webhook.shown_url == "https://alerts.example/hook"
    for text in (repr(settings), repr(webhook), str(webhook), webhook.shown_url):
        assert "hush" not in text
        assert SECRET.removeprefix("whsec_") not in text
    assert "webhook_secret=***" in repr(settings)
