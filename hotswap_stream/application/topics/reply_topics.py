"""Where copies of answers may go: a request names the topic, the operator says which ones may be named.

Whoever may write requests would else write, by the worker's hand, wherever the worker may: into the answers of another
environment, or into its registry.
"""

import re
from collections.abc import Sequence

from hotswap_events import headers as header_names
from hotswap_events.topics import Topics, role_of

PATTERNS_MAX = 64
_PATTERN = re.compile(r"[A-Za-z0-9._*-]{1,249}")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


class ReplyTopics:
    """The topics that copies of answers may go to.

    `patterns` are names of topics, `*` stands for any characters; `<prefix>.replies.*` may always be named, too.

    Raises:
        ValueError: A pattern cannot be the name of a topic, or there are too many.
    """

    def __init__(self, topics: Topics, patterns: Sequence[str] = ()) -> None:
        if len(patterns) > PATTERNS_MAX:
            raise ValueError(f"{len(patterns)} patterns; at most {PATTERNS_MAX} are allowed")
        self.patterns = (topics.replies("*"), *patterns)
        for pattern in self.patterns:
            if not _PATTERN.fullmatch(pattern):
                raise ValueError(
                    f"{pattern!r} can name no topic: letters, digits, '.', '_', '-', and '*' for any of them"
                )
        self._allowed = re.compile("|".join(re.escape(pattern).replace(r"\*", ".*") for pattern in self.patterns))

    def refusal(self, topic: str) -> str | None:
        """Return why no copy goes to this topic; None: it does."""
        name = f"{header_names.SPRING_REPLY_TOPIC} {topic[:249]!r}"
        if not _TOPIC.fullmatch(topic):
            return f"{name} is not the name of a topic"
        role = role_of(topic)
        if role is not None:
            return f"{name} names a topic of {role}, in this environment or another: no request may write there"
        if topic.startswith("__"):
            return f"{name} names a topic of Kafka's own"
        if not self._allowed.fullmatch(topic):
            return (
                f"{name} is not for replies; those that are: {', '.join(self.patterns)} (more of them can be named by "
                "HOTSWAP_REPLY_TOPICS of the workers)"
            )
        return None
