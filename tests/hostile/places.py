"""The topics that are tried: what is written there, who reads it, and what has to work afterwards."""

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from hotswap_events.topics import Topics
from hotswap_stream.agents.topics import analysis_topic, stream_heads_topic
from tests.hostile.kinds import Encoding
from tools import message_catalogue as catalogue
from tools.message_catalogue import Message

MODEL = "tiny"
"""Answers requests, with a rollout that feedback and observations are folded into."""
WINDOW_MODEL = "waves"
"""Takes windows of steps."""
HOSTAGE = "hostage"
"""The model that hostile commands and events are about: only the others are looked after."""

Probe = Literal[
    "requests",
    "http",
    "commands",
    "feedback",
    "observations",
    "evidence",
    "fleet",
    "windows",
    "keys",
    "dead letters",
]
Process = Literal["worker", "agents", "api"]


class Place(Struct, frozen=True, kw_only=True):
    """One topic. `restarts`: whoever reads it only when it starts must start again before it is judged."""

    name: str
    topic: Callable[[Topics], str]
    messages: tuple[Message, ...]
    readers: tuple[str, ...]
    probes: tuple[Probe, ...]
    encodings: tuple[Encoding, ...] = ("json",)
    partitions: int = 4
    keyed_by_model: bool = True
    restarts: tuple[Process, ...] = ()
    told_by: tuple[str, ...] = ()
    """What tells of records that could not be used: `answers`, `dead letters`, `void events`, `log`; empty where
    nobody of ours reads."""


PLACES: tuple[Place, ...] = (
    Place(
        name="requests",
        topic=lambda topics: topics.requests(MODEL),
        messages=(catalogue.INFER_REQUEST,),
        readers=("worker", "agents (lag)", "API (lag)"),
        probes=("requests", "http"),
        encodings=("json", "msgpack"),
        partitions=2,
        keyed_by_model=False,
        told_by=("answers", "dead letters"),
    ),
    Place(
        name="responses",
        topic=lambda topics: topics.responses(MODEL),
        messages=(catalogue.INFER_RESPONSE, catalogue.INFER_ERROR),
        readers=("API (gateway)", "agents (lookup)", "worker (checkpoint)"),
        probes=("requests", "http", "feedback"),
        encodings=("json", "msgpack"),
        partitions=2,
        keyed_by_model=False,
        restarts=("worker",),
    ),
    Place(
        name="windows",
        topic=lambda topics: topics.windows(WINDOW_MODEL),
        messages=(catalogue.WINDOW_RECORD, catalogue.WINDOWS_MARKER),
        readers=("worker", "API"),
        probes=("windows", "requests"),
        encodings=("msgpack",),
        partitions=2,
        keyed_by_model=False,
        restarts=("worker",),
    ),
    Place(
        name="commands",
        topic=lambda topics: topics.commands,
        messages=catalogue.COMMANDS,
        readers=("agents",),
        probes=("commands",),
        told_by=("dead letters",),
    ),
    Place(
        name="command-results",
        topic=lambda topics: topics.command_results,
        messages=(catalogue.COMMAND_RESULT,),
        readers=("whoever sent a command",),
        probes=("commands",),
    ),
    Place(
        name="registry",
        topic=lambda topics: topics.registry,
        messages=catalogue.EVENTS,
        readers=("API", "worker", "agents", "audit"),
        probes=("commands", "requests", "http"),
        partitions=1,
        told_by=("void events",),
    ),
    Place(
        name="registry-state",
        topic=lambda topics: topics.registry_state,
        messages=(catalogue.REGISTRY_STATE,),
        readers=("outside",),
        probes=("commands",),
        partitions=1,
    ),
    Place(
        name="fleet",
        topic=lambda topics: topics.fleet,
        messages=(catalogue.FLEET_RECORD,),
        readers=("API", "worker"),
        probes=("fleet", "http"),
        partitions=1,
        keyed_by_model=False,
    ),
    Place(
        name="training-progress",
        topic=lambda topics: topics.training_progress,
        messages=(catalogue.TRAINING_PROGRESS,),
        readers=("API",),
        probes=("http",),
        partitions=1,
        keyed_by_model=False,
    ),
    Place(
        name="keys",
        topic=lambda topics: topics.keys,
        messages=(catalogue.API_KEY, catalogue.API_KEY_REVOKED),
        readers=("API",),
        probes=("keys", "http"),
        partitions=1,
        keyed_by_model=False,
    ),
    Place(
        name="observations",
        topic=lambda topics: topics.observations,
        messages=(catalogue.OBSERVATION,),
        readers=("agents", "API (reports)"),
        probes=("observations", "feedback"),
        told_by=("dead letters",),
    ),
    Place(
        name="feedback",
        topic=lambda topics: topics.feedback,
        messages=(catalogue.FEEDBACK,),
        readers=("agents", "API (reports)"),
        probes=("feedback", "observations"),
        told_by=("dead letters",),
    ),
    Place(
        name="comparisons",
        topic=lambda topics: topics.comparisons,
        messages=(catalogue.COMPARISON,),
        readers=("outside",),
        probes=("requests",),
    ),
    Place(
        name="evidence",
        topic=lambda topics: topics.evidence,
        messages=(catalogue.EVIDENCE,),
        readers=("API",),
        probes=("evidence", "http"),
    ),
    Place(
        name="dead-letters",
        topic=lambda topics: topics.dead_letters,
        messages=(catalogue.DEAD_LETTER,),
        readers=("outside",),
        probes=("dead letters",),
        keyed_by_model=False,
    ),
    Place(
        name="agents.stream-heads",
        topic=stream_heads_topic,
        messages=(),
        readers=("agents",),
        probes=("commands",),
        partitions=1,
        restarts=("agents",),
    ),
    Place(
        name="agents.analysis",
        topic=analysis_topic,
        messages=(),
        readers=("agents",),
        probes=("feedback", "observations"),
        restarts=("agents",),
    ),
)
BY_NAME: dict[str, Place] = {place.name: place for place in PLACES}
