"""Ways to the models and to what was recorded of them."""

from hotswap_stream.adapters.kafka.fleet_follower import read_fleet
from hotswap_stream.adapters.kafka.inference.gateway import KafkaInferenceGateway
from hotswap_stream.adapters.kafka.inference.lag import KafkaRequestLag
from hotswap_stream.adapters.kafka.observations.answer_lookup import KafkaAnswerLookup
from hotswap_stream.adapters.kafka.observations.feedback_log import KafkaFeedbackLog
from hotswap_stream.adapters.kafka.observations.history import KafkaRecordedHistory
from hotswap_stream.adapters.kafka.window_reader import KafkaWindowReader
from hotswap_stream.application.inference.fleet import FleetFold
from hotswap_stream.bootstrap.environment import answer_tags, connection, topics
from hotswap_stream.settings import Settings


def inference_gateway(settings: Settings, *, in_flight_max: int) -> KafkaInferenceGateway:
    """Return the way to the models by their topics, for the running event loop; it connects when a model is asked."""
    return KafkaInferenceGateway(
        connection(settings).client_options(),
        topics(settings),
        in_flight_max=in_flight_max,
        tags=answer_tags(settings),
    )


def window_reader(settings: Settings) -> KafkaWindowReader:
    """Return a reader of what the windows topics hold now."""
    return KafkaWindowReader(connection(settings).client_options(), topics(settings))


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


async def fleet(settings: Settings, *, listens: bool = True) -> FleetFold:
    """Return what the workers say about themselves now; without `listens`, what they said last."""
    return await read_fleet(connection(settings).client_options(), topics(settings).fleet, listens=listens)
