"""The guide to webhooks and the example receiver: what they show works, by the commands that they name."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import structlog
from standardwebhooks import Webhook, WebhookVerificationError
from typer.testing import CliRunner, Result

from examples.webhook_receiver import Receiver, in_words
from hotswap_stream.cli.app import build_app
from tests.support.checkout import ROOT
from tests.support.webhook_receiver import OTHER_SECRET, SECRET

GUIDE = ROOT / "docs" / "guides" / "webhooks.md"


def signed(event: dict[str, Any], message_id: str = "m-1", secret: str = SECRET) -> tuple[dict[str, str], bytes]:
    """As the library itself signs it."""
    body, now = json.dumps(event), datetime.now(UTC)
    signature = Webhook(secret).sign(message_id, now, body)
    stamped = {"webhook-id": message_id, "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature}
    return stamped, body.encode()


@contextmanager
def receiving(secret: str, taken: list[dict[str, Any]]) -> Iterator[str]:
    """The example on a free port; its URL."""
    with Receiver(("127.0.0.1", 0), secret, taken.append) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/hook?token=hush"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def taken() -> list[dict[str, Any]]:
    return []


def hotswap(*arguments: str, **settings: str) -> Result:
    environment = {f"HOTSWAP_{name.upper()}": value for name, value in settings.items()}
    result = CliRunner().invoke(build_app(), arguments, env=environment)
    structlog.reset_defaults()
    return result


def test_the_snippet_of_the_guide_verifies_what_we_sign() -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {}
    exec(compile(code, str(GUIDE), "exec"), names)  # noqa: S102 - the guide's own code is what is tested
    headers, body = signed({"type": "hotswap.alert.raised.v1"})
    assert names["event_of"](body, headers, SECRET) == {"type": "hotswap.alert.raised.v1"}
    with pytest.raises(WebhookVerificationError):
        names["event_of"](body, headers, OTHER_SECRET)


def test_the_patterns_of_the_guide_match_events() -> None:
    (patterns,) = re.findall(r"HOTSWAP_WEBHOOK_EVENTS='(.*)'", GUIDE.read_text(encoding="utf-8"))
    for pattern in patterns.split(","):
        assert hotswap("webhooks", "test", webhook_events=pattern).output.startswith("error: no webhooks")
    assert "matches no type of event" in hotswap("webhooks", "test", webhook_events="hotswap.alarm.*").output


def test_the_example_takes_what_the_command_posts(taken: list[dict[str, Any]]) -> None:
    with receiving(SECRET, taken) as url:
        both = {"webhook_urls": f"pager={url},other={url}", "webhook_secret": f"{OTHER_SECRET} {SECRET}"}
        table = hotswap("webhooks", "test", **both)
        one = hotswap("webhooks", "test", "other", "--json", **both)
    assert (table.exit_code, one.exit_code) == (0, 0), (table.output, one.output)
    assert [event["type"] for event in taken] == ["hotswap.webhook.test.v1"] * 3
    assert "HTTP 204" in table.output
    (shown,) = json.loads(one.output)
    assert (shown["name"], shown["delivered"], shown["status"]) == ("other", True, 204)
    assert shown["webhook_id"] == taken[2]["id"]
    assert "hush" not in table.output + one.output


def test_the_command_fails_where_a_receiver_knows_another_secret(taken: list[dict[str, Any]]) -> None:
    with receiving(OTHER_SECRET, taken) as url:
        result = hotswap("webhooks", "test", webhook_urls=url, webhook_secret=SECRET)
    assert result.exit_code == 1
    assert "HTTP 401" in result.output
    assert taken == []


def test_a_misled_http_client_is_a_wrong_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    result = hotswap("webhooks", "test", webhook_urls="http://localhost:1/", webhook_secret=SECRET)
    assert result.exit_code == 78
    assert "SSL_CERT_FILE must name a file" in result.output


@pytest.mark.parametrize(
    ("settings", "arguments", "said"),
    [
        ({}, (), "no webhooks: set HOTSWAP_WEBHOOK_URLS and HOTSWAP_WEBHOOK_SECRET"),
        ({"webhook_urls": "pager=http://localhost:1/"}, (), "HOTSWAP_WEBHOOK_SECRET is not"),
        ({"webhook_urls": "pager=http://localhost:1/", "webhook_secret": SECRET}, ("chat",), "there are pager"),
    ],
)
def test_what_is_missing_is_said(settings: dict[str, str], arguments: tuple[str, ...], said: str) -> None:
    result = hotswap("webhooks", "test", *arguments, **settings)
    assert result.exit_code == 78
    assert said in result.output


def test_the_webhooks_are_listed(kafka: str, topic_prefix: str) -> None:
    settings = {"kafka_bootstrap_servers": kafka, "topic_prefix": topic_prefix}
    assert "no webhooks" in hotswap("webhooks", "list", **settings).output
    settings |= {"webhook_urls": "pager=http://localhost:1/hook?token=hush", "webhook_secret": SECRET}
    table, listed = hotswap("webhooks", "list", **settings), hotswap("webhooks", "list", "--json", **settings)
    assert "no agents have followed the log for it yet" in table.output
    assert "hush" not in table.output + listed.output
    (webhook,) = json.loads(listed.output)
    assert (webhook["url"], webhook["next_offset"], webhook["lag"]) == ("http://localhost:1/hook", None, None)


def test_a_printed_secret_is_one_to_set(taken: list[dict[str, Any]]) -> None:
    secret = hotswap("webhooks", "secret").output.strip()
    with receiving(secret, taken) as url:
        assert hotswap("webhooks", "test", webhook_urls=url, webhook_secret=secret).exit_code == 0


def test_the_example_takes_each_event_once_and_again_after_a_failure() -> None:
    taken: list[str] = []

    def take(event: dict[str, Any]) -> None:
        if event["fails"] and not taken:
            taken.append("failed")
            raise ValueError("not now")
        taken.append(event["type"])

    with Receiver(("127.0.0.1", 0), SECRET, take) as receiver:
        headers, body = signed({"type": "a", "fails": True})
        with pytest.raises(ValueError, match="not now"):
            receiver.receive(headers, body)
        assert [receiver.receive(headers, body) for _ in range(2)] == [HTTPStatus.NO_CONTENT] * 2
        assert receiver.receive(*signed({"type": "b", "fails": False}, "m-2")) == HTTPStatus.NO_CONTENT
        assert receiver.receive(headers, body + b" ") == HTTPStatus.UNAUTHORIZED
    assert taken == ["failed", "a", "b"]


def test_the_example_says_an_alert_in_words() -> None:
    rule = {"name": "slow", "severity": "critical", "above": 100.0}
    raised = {"type": "hotswap.alert.raised.v1", "subject": "digits", "data": {"rule": rule, "value": 250.0}}
    cleared = {
        "type": "hotswap.alert.cleared.v1",
        "subject": "digits",
        "data": {"rule_name": "slow", "cause": "recovered"},
    }
    assert in_words(raised) == "RAISED critical digits slow: 250 is above 100"
    assert in_words(cleared) == "over   digits slow (recovered)"
    assert in_words({"type": "hotswap.webhook.test.v1", "data": {}}) == "hotswap.webhook.test.v1"
