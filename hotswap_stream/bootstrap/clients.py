"""Ways to the models, to what was recorded of them, and to the keys of the API."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hotswap_stream.adapters.clock import SystemClock
from hotswap_stream.adapters.kafka.evidence_follower import read_evidence_lately
from hotswap_stream.adapters.kafka.fleet_follower import read_fleet
from hotswap_stream.adapters.kafka.inference.gateway import KafkaInferenceGateway
from hotswap_stream.adapters.kafka.inference.lag import KafkaRequestLag
from hotswap_stream.adapters.kafka.key_log import KafkaKeyLog
from hotswap_stream.adapters.kafka.observations.answer_lookup import KafkaAnswerLookup
from hotswap_stream.adapters.kafka.observations.feedback_log import KafkaFeedbackLog
from hotswap_stream.adapters.kafka.observations.history import KafkaRecordedHistory
from hotswap_stream.adapters.kafka.window_reader import KafkaSplitView, KafkaWindowReader
from hotswap_stream.application.inference.fleet import FleetFold
from hotswap_stream.application.keys.changes import KeyOrder
from hotswap_stream.application.keys.office import LogOffice
from hotswap_stream.application.keys.view import KeyWithSecret
from hotswap_stream.application.rollouts.shown import EvidenceFold
from hotswap_stream.bootstrap.environment import answer_tags, connection, open_to, topics
from hotswap_stream.bootstrap.topic_care import ensure_control_topics
from hotswap_stream.settings import Settings

FIRST_KEY = "admin"
"""Name of the key that `hotswap-stream up` makes where there is none."""


def inference_gateway(
    settings: Settings, *, in_flight_max: int, share: tuple[int, int] | None = None
) -> KafkaInferenceGateway:
    """Return the way to the models by their topics, for the running event loop; it connects when a model is asked.

    Args:
        settings: Name the cluster and the environment.
        in_flight_max: Requests at once.
        share: Which of how many gateways side by side this is, from 1 on: each takes partitions of its own.
    """
    return KafkaInferenceGateway(
        connection(settings).client_options(),
        topics(settings),
        in_flight_max=in_flight_max,
        tags=answer_tags(settings),
        share=share,
    )


def window_reader(settings: Settings) -> KafkaWindowReader:
    """Return a reader of what the windows topics hold now."""
    return KafkaWindowReader(connection(settings).client_options(), topics(settings))


def split_view(settings: Settings) -> KafkaSplitView:
    """Return what looks now and then for series that lie in several partitions."""
    return KafkaSplitView(connection(settings).client_options(), topics(settings))


def key_log(settings: Settings) -> KafkaKeyLog:
    """Return the log of the API's keys, to be opened. Its topic must exist."""
    return KafkaKeyLog(connection(settings).client_options(), topics(settings).keys)


def feedback_log(settings: Settings) -> KafkaFeedbackLog:
    """Return the log that feedback goes into. Its topic must exist."""
    return KafkaFeedbackLog(connection(settings).client_options(), topics(settings))


def recorded_history(settings: Settings) -> KafkaRecordedHistory:
    """Return a reader of what was recorded about answers."""
    return KafkaRecordedHistory(connection(settings).client_options(), topics(settings))


def answer_lookup(settings: Settings) -> KafkaAnswerLookup:
    """Return what finds answers again, for the join with feedback."""
    return KafkaAnswerLookup(connection(settings).client_options(), topics(settings), tags=answer_tags(settings))


def request_lag(settings: Settings) -> KafkaRequestLag:
    """Return what says how many requests wait."""
    return KafkaRequestLag(connection(settings).client_options(), topics(settings), tags=answer_tags(settings))


async def evidence(settings: Settings) -> EvidenceFold:
    """Read what rollouts showed in the last seconds."""
    return await read_evidence_lately(connection(settings).client_options(), topics(settings).evidence)


async def fleet(settings: Settings, *, listens: bool = True) -> FleetFold:
    """Return what the workers say about themselves now; without `listens`, what they said last."""
    return await read_fleet(connection(settings).client_options(), topics(settings).fleet, listens=listens)


@asynccontextmanager
async def open_keys(settings: Settings, by: str) -> AsyncIterator[LogOffice]:
    """Open the keys of this environment; `by` is who changes them."""
    await ensure_control_topics(settings)
    async with key_log(settings) as log:
        yield LogOffice(log, by, SystemClock().now)


async def first_key(settings: Settings, by: str) -> KeyWithSecret | None:
    """Make the first admin key; None where somebody has one already, or none is needed."""
    if settings.api_keys or open_to(settings) is not None:
        return None
    async with open_keys(settings, by) as office:
        if any(key.state == "active" and "admin" in key.scopes for key in await office.all()):
            return None
        return await office.create(KeyOrder(name=FIRST_KEY, scopes=("admin",)))
