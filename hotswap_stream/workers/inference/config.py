"""What one inference worker needs to know."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from hotswap_events.inference.answers import AnswerTags
from hotswap_events.inference.fleet import FleetPlugin
from hotswap_events.topics import Topics
from hotswap_stream.application.topics.reply_topics import ReplyTopics
from hotswap_stream.workers.inference.limits import LoopLimits


class WorkerConfig(Struct, frozen=True, kw_only=True):
    """Settings of one worker. `worker` names it: unique, and the same after a restart."""

    worker: str
    topics: Topics
    answer_tags: AnswerTags
    reply_topics: ReplyTopics
    client_options: Mapping[str, Any]
    """Options of aiokafka, which does what is not hot."""
    librdkafka_options: Mapping[str, Any]
    """Options of librdkafka, which the loops use."""
    limits: LoopLimits = LoopLimits()
    memory_bytes_max: int = 4 * 1024**3
    model_names: frozenset[str] | None = None
    """Only these models; None serves all."""
    plugins: tuple[FleetPlugin, ...] = ()
    """Code of the users' own that is here, for the fleet topic."""
    kinds: tuple[str, ...] = ()
    """Kinds of artifacts that can be loaded here, for the fleet topic."""
