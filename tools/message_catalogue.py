"""Every message the service writes or reads: its name, class, key and headers. A new one is one entry here."""

from types import UnionType
from typing import Literal, get_args

from msgspec import Struct
from msgspec.inspect import StructType, type_info

from hotswap_events import headers
from hotswap_events.codec import ALL_EVENT_TYPES, REGISTRY_CODEC
from hotswap_events.commands import AnyCommand, CommandResult
from hotswap_events.envelope import CONTENT_TYPE as CLOUDEVENTS_CONTENT_TYPE
from hotswap_events.inference.fleet import FleetRecord
from hotswap_events.inference.messages import JSON_CONTENT_TYPE, InferError, InferRequest, InferResponse
from hotswap_events.inference.observation import Comparison, Feedback, Observation
from hotswap_events.inference.windows import WindowRecord, WindowsMarker
from hotswap_events.keys import ApiKey, ApiKeyRevoked
from hotswap_events.log_stream import LOG_EVENT_TYPES, LOG_STREAM
from hotswap_events.registry.state import RegistryState
from hotswap_events.rollouts.evidence import RolloutEvidence
from hotswap_events.training.progress import TrainingProgressed

MODEL_NAME_KEY = "Model name, UTF-8."
LOG_KEY = f"`{LOG_STREAM}`: it is of the log itself, not of a model."


class Header(Struct, frozen=True, kw_only=True):
    """A record header: UTF-8 text on the wire."""

    name: str
    description: str
    required: bool = False
    values: tuple[str, ...] = ()


class Message(Struct, frozen=True, kw_only=True):
    """One kind of record. `payload` None: the bytes are those of another record, copied."""

    name: str
    payload: type[Struct] | None
    folder: Literal["events", "messages"]
    summary: str
    key: str
    content_type: str = JSON_CONTENT_TYPE
    headers: tuple[Header, ...] = ()
    correlation: str | None = None
    """Payload field that ties an answer to its cause."""

    @property
    def file(self) -> str:
        """Return the path of its JSON Schema below `schemas/`."""
        return f"{self.folder}/{self.name}.schema.json"


def summary_of(struct_type: type[Struct]) -> str:
    """Return the docstring of a message class, on one line."""
    return " ".join((struct_type.__doc__ or "").split())


def _tag_of(struct_type: type[Struct]) -> str:
    info = type_info(struct_type)
    if not isinstance(info, StructType) or not isinstance(info.tag, str):
        raise TypeError(f"{struct_type.__name__} carries no type name")
    return info.tag


_JSON = Header(name=headers.CONTENT_TYPE, description="JSON.", required=True, values=(JSON_CONTENT_TYPE,))

_STRUCTURED_MODE = Header(
    name=headers.CONTENT_TYPE,
    description="CloudEvents in structured mode.",
    required=True,
    values=(CLOUDEVENTS_CONTENT_TYPE,),
)

EVENTS: tuple[Message, ...] = tuple(
    Message(
        name=_tag_of(envelope_type),
        payload=envelope_type,
        folder="events",
        summary=summary_of(ALL_EVENT_TYPES[_tag_of(envelope_type)]),
        key=LOG_KEY if _tag_of(envelope_type) in LOG_EVENT_TYPES else MODEL_NAME_KEY,
        content_type=CLOUDEVENTS_CONTENT_TYPE,
        headers=(_STRUCTURED_MODE,),
        correlation="correlationid",
    )
    for envelope_type in REGISTRY_CODEC.envelope_types
)


def _command_types(union: UnionType) -> tuple[type[Struct], ...]:
    return get_args(union)


_SIGNATURE = (
    Header(
        name=headers.KEY_ID,
        description="Id of the API key that signs the command, which must be made for that; with it the two others. "
        "Without, the actor of its events is marked `topic:…`.",
    ),
    Header(
        name=headers.SIGNED_AT,
        description="When it was signed, in milliseconds since 1970 UTC; a signature holds for five minutes, once.",
    ),
    Header(
        name=headers.SIGNATURE,
        description="HMAC-SHA256 as 64 hexadecimal digits, over `v1`, topic, key id and time, each ended by a line "
        "feed, and the record's value. Its key is HKDF-SHA256 of the secret in the key's token, without salt, with the "
        "info `hotswap-stream command v1`, 32 bytes.",
    ),
)

COMMANDS: tuple[Message, ...] = tuple(
    Message(
        name=_tag_of(command_type),
        payload=command_type,
        folder="messages",
        summary=summary_of(command_type),
        key=MODEL_NAME_KEY,
        headers=_SIGNATURE,
        correlation="command_id",
    )
    for command_type in _command_types(AnyCommand)
)

COMMAND_RESULT = Message(
    name="hotswap.command-result",
    payload=CommandResult,
    folder="messages",
    summary=summary_of(CommandResult),
    key=MODEL_NAME_KEY,
    headers=(
        _JSON,
        Header(name=headers.COMMAND_ID, description="Id of the command that this answers.", required=True),
        Header(
            name=headers.CORRELATION_ID,
            description="The command's correlation id, or its id where it has none.",
            required=True,
        ),
    ),
    correlation="command_id",
)

FLEET_RECORD = Message(
    name="hotswap.fleet-record",
    payload=FleetRecord,
    folder="messages",
    summary=summary_of(FleetRecord),
    key="`<worker>/<model name>`, UTF-8. A null value says that the worker left.",
)

TRAINING_PROGRESS = Message(
    name="hotswap.training-progress",
    payload=TrainingProgressed,
    folder="messages",
    summary=summary_of(TrainingProgressed),
    key="The run's id. A null value says that nobody needs it any more.",
)

API_KEY = Message(
    name="hotswap.api-key",
    payload=ApiKey,
    folder="messages",
    summary=summary_of(ApiKey),
    key="The key's id. A null value says that the key is gone.",
)

API_KEY_REVOKED = Message(
    name="hotswap.api-key-revoked",
    payload=ApiKeyRevoked,
    folder="messages",
    summary=summary_of(ApiKeyRevoked),
    key="`<key id>/revoked`.",
)

REGISTRY_STATE = Message(
    name="hotswap.registry-state",
    payload=RegistryState,
    folder="messages",
    summary=summary_of(RegistryState),
    key=MODEL_NAME_KEY,
    headers=(_JSON,),
)

_REQUEST_HEADERS = (
    Header(
        name=headers.CONTENT_TYPE,
        description="How the body is encoded; JSON when missing.",
        values=("application/json", "application/msgpack"),
    ),
    Header(name=headers.ROUTING_KEY, description="Whom or what the request is for, such as a user's id."),
    Header(
        name=headers.DEADLINE,
        description="Milliseconds since 1970 UTC, decimal: refused with `deadline-expired` when it is later.",
    ),
    Header(name=headers.MODEL_VERSION, description="The version that must answer; else the one in production does."),
    Header(name=headers.TRACEPARENT, description="W3C trace context, passed on to the answer."),
    Header(name=headers.MODEL_NAME, description="The model it is meant for; a request for another one is refused."),
    Header(name=headers.MLSERVER_MODEL, description="MLServer's name for the same."),
    Header(name=headers.MLSERVER_VERSION, description="MLServer's name for the version that must answer."),
    Header(
        name=headers.REPEATED_ID,
        description="`allowed`: the id may be one that was seen in the partition shortly before; else that is refused.",
    ),
    Header(name=headers.SPRING_CORRELATION_ID, description="Any bytes; the answer and its copy carry the same."),
    Header(
        name=headers.SPRING_REPLY_TOPIC,
        description="Where a copy of the answer goes: a topic `<prefix>.replies.*`, or what the workers' "
        "HOTSWAP_REPLY_TOPICS names; a request that names another one is refused.",
    ),
    Header(name=headers.SPRING_REPLY_PARTITION, description="Its partition there: four bytes, big-endian, no text."),
)

_ANSWER_HEADERS = (
    Header(name=headers.CONTENT_TYPE, description="As in the request.", required=True),
    Header(
        name=headers.REQUEST_OFFSET,
        description="Offset of the request in the partition of the same number, decimal. "
        "An answer whose request offset is not above all before it in its partition is void.",
        required=True,
    ),
    Header(
        name=headers.ANSWER_TAG,
        description="Proof that a worker wrote it: 16 hexadecimal digits, made with the environment's key over model, "
        "partition and request offset. An answer without it is void.",
        required=True,
    ),
    Header(
        name=headers.STATUS,
        description="Whether this is an answer or an error answer.",
        required=True,
        values=("ok", "error"),
    ),
    Header(name=headers.TRACEPARENT, description="As in the request."),
    Header(name=headers.SPRING_CORRELATION_ID, description="As in the request."),
)

_ANSWER_KEY = "The request's key."

INFER_REQUEST = Message(
    name="hotswap.infer-request",
    payload=InferRequest,
    folder="messages",
    summary=summary_of(InferRequest),
    key="Free; requests of one key are answered in their order. Without a key the partition is the producer's choice.",
    headers=_REQUEST_HEADERS,
    correlation="id",
)
INFER_RESPONSE = Message(
    name="hotswap.infer-response",
    payload=InferResponse,
    folder="messages",
    summary=summary_of(InferResponse),
    key=_ANSWER_KEY,
    headers=_ANSWER_HEADERS,
    correlation="id",
)
INFER_ERROR = Message(
    name="hotswap.infer-error",
    payload=InferError,
    folder="messages",
    summary=summary_of(InferError),
    key=_ANSWER_KEY,
    headers=_ANSWER_HEADERS,
    correlation="id",
)

_MSGPACK = "application/msgpack"

WINDOW_RECORD = Message(
    name="hotswap.window-record",
    payload=WindowRecord,
    folder="messages",
    summary=summary_of(WindowRecord),
    key="`<writer>/w/<series key>`. A null value says that the record is not needed any more.",
    content_type=_MSGPACK,
)
WINDOWS_MARKER = Message(
    name="hotswap.windows-marker",
    payload=WindowsMarker,
    folder="messages",
    summary=summary_of(WindowsMarker),
    key="`<writer>/m`. A null value says that the record is not needed any more.",
    content_type=_MSGPACK,
)

DEAD_LETTER = Message(
    name="hotswap.dead-letter",
    payload=None,
    folder="messages",
    summary="A copy of a record that could not be handled, with the cause in the headers. A value of more than "
    "900,000 bytes is cut; the original is where the headers say.",
    key="The key of the record that it is a copy of.",
    content_type="application/octet-stream",
    headers=(
        Header(name=headers.CONTENT_TYPE, description="As on the record, when it had one."),
        Header(name=headers.DEAD_LETTER_CAUSE, description="Why it could not be handled.", required=True),
        Header(name=headers.ORIGIN_TOPIC, description="Where it came from.", required=True),
        Header(name=headers.ORIGIN_PARTITION, description="Its partition, decimal.", required=True),
        Header(name=headers.ORIGIN_OFFSET, description="Its offset, decimal.", required=True),
        Header(name=headers.ORIGIN_TIMESTAMP_MS, description="Its timestamp, ms since 1970 UTC.", required=True),
    ),
)


def _keyed_by_model(name: str, payload: type[Struct], correlation: str | None = None) -> Message:
    return Message(
        name=name,
        payload=payload,
        folder="messages",
        summary=summary_of(payload),
        key=MODEL_NAME_KEY,
        correlation=correlation,
    )


OBSERVATION = _keyed_by_model("hotswap.observation", Observation)
COMPARISON = _keyed_by_model("hotswap.comparison", Comparison, "request_id")
EVIDENCE = _keyed_by_model("hotswap.evidence", RolloutEvidence)
FEEDBACK = _keyed_by_model("hotswap.feedback", Feedback, "request_id")

MESSAGES: tuple[Message, ...] = (
    *EVENTS,
    *COMMANDS,
    COMMAND_RESULT,
    REGISTRY_STATE,
    FLEET_RECORD,
    TRAINING_PROGRESS,
    API_KEY,
    API_KEY_REVOKED,
    INFER_REQUEST,
    INFER_RESPONSE,
    INFER_ERROR,
    WINDOW_RECORD,
    WINDOWS_MARKER,
    DEAD_LETTER,
    OBSERVATION,
    COMPARISON,
    FEEDBACK,
    EVIDENCE,
)
