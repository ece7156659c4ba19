"""Which topics a request may name for a copy of its answer."""

import pytest

from hotswap_events.topics import Topics
from hotswap_stream import bootstrap
from hotswap_stream.application.topics.reply_topics import ReplyTopics
from hotswap_stream.errors import ConfigurationError
from hotswap_stream.settings import Settings

TOPICS = Topics("staging")
OURS = [
    "production.responses.tiny",
    "production.requests.tiny",
    "production.registry",
    "production.registry-state",
    "production.windows.tiny",
    "production.commands",
    "production.fleet",
    "production.agents.analysis",
    "staging.responses.tiny",
    "anything.feedback",
]


def test_by_default_a_reply_goes_to_the_environments_own_reply_topics() -> None:
    allowed = ReplyTopics(TOPICS)
    assert allowed.refusal("staging.replies.orders") is None
    assert allowed.refusal("staging.replies.a.b_c-d") is None
    for topic in ("orders", "production.replies.orders", "xstaging.replies.a", "staging.repliesx", "staging.replies"):
        assert "HOTSWAP_REPLY_TOPICS" in (allowed.refusal(topic) or "")


@pytest.mark.parametrize("topic", OURS)
@pytest.mark.parametrize("patterns", [(), ("*",), ("production.*", "staging.responses.tiny")])
def test_no_topic_of_hotswap_takes_replies_whatever_is_allowed(topic: str, patterns: tuple[str, ...]) -> None:
    """A request to staging wrote into production's answers and registry, by way of its reply topic."""
    assert "in this environment or another" in (ReplyTopics(TOPICS, patterns).refusal(topic) or "")


def test_the_setting_names_more() -> None:
    allowed = bootstrap.reply_topics(Settings(topic_prefix="staging", reply_topics=" orders-* ,spring.replies,, "))
    for topic in ("orders-", "orders-eu", "spring.replies", "staging.replies.x"):
        assert allowed.refusal(topic) is None
    for topic in ("order", "springxreplies", "my-orders-eu"):
        assert allowed.refusal(topic) is not None


@pytest.mark.parametrize("topic", ["", "a/b", "x" * 250, "ü", "a\n", "staging.replies.a b", "__consumer_offsets"])
def test_what_is_no_topic_for_anybody(topic: str) -> None:
    assert ReplyTopics(TOPICS, ("*",)).refusal(topic) is not None


@pytest.mark.parametrize("text", ["a/b", "a b", "ü", ",".join("x" * 65)])
def test_a_pattern_that_names_no_topic_is_a_wrong_setting(text: str) -> None:
    with pytest.raises(ConfigurationError, match="HOTSWAP_REPLY_TOPICS"):
        bootstrap.reply_topics(Settings(reply_topics=text))
