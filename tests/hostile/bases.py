"""Records that are right: what a hostile one is made from by changing one thing."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from hotswap_events import headers as header_names
from hotswap_events.envelope import GENESIS
from hotswap_events.topics import Topics
from hotswap_stream.application.registry.fold import RegistryFold
from tests.hostile.places import HOSTAGE, MODEL, Place
from tools.message_examples import message_examples

OTHER = "another-environment"
"""Prefix of an environment on the same cluster, whose topics nobody may touch."""
_HEX = "0123456789abcdef" * 4


class World(Struct, kw_only=True):
    """What there is when a record is made: numbers for names that nobody else has, and what one may refer to."""

    topics: Topics
    fold: RegistryFold
    number: int = 0
    answered: tuple[int, int] = (0, 0)
    """Partition and offset of a request of MODEL that was answered well."""
    request_ends: tuple[int, ...] = (0, 0)
    """The offsets that MODEL's next requests will have."""
    rollout_id: str | None = None

    def next(self) -> int:
        """A number that no other record has."""
        self.number += 1
        return self.number


def base(message: str, world: World, number: int) -> dict[str, Any]:
    """A right payload, as JSON or msgpack would hold it; with a chain that holds, where it is an event."""
    now = datetime.now(UTC).isoformat()
    if message == "hotswap.infer-request":
        tensor = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1.0, 2.0, 3.0, 4.0]}
        return {"id": f"hostile-{number}", "inputs": [tensor], "parameters": {}, "outputs": [{"name": "y"}]}
    if message == "hotswap.feedback":
        partition, offset = world.answered
        place = {"request_partition": partition, "request_offset": offset}
        told = {"reward": 0.5, "label": 0, "value": [0.5, 0.5], "items": [0, "a"]}
        return {"model_name": MODEL, "feedback_id": f"hostile-{number}", "at": now, **told, **place}
    found = _example(message)
    if message in ("hotswap.infer-response", "hotswap.infer-error"):
        partition = number % len(world.request_ends)
        facts = {"request_partition": partition, "request_offset": 0} | {"worker": f"hostile-{number}"}
        return {**found, "model_name": MODEL, "parameters": {**found["parameters"], **facts}}
    if message == "hotswap.observation":
        who = {"worker": "hostile", "worker_run": f"hostile-{number}", "sequence": 1}
        version = {"model_name": MODEL, "model_version": "v1", "rollout_id": world.rollout_id}
        return {**found, **who, **version, "since": now, "until": now}
    if message == "hotswap.fleet-record":
        return {**found, "worker": f"hostile-{number % 7}", "model_name": MODEL}
    if message == "hotswap.training-progress":
        return {**found, "run_id": f"hostile-{number % 7}", "model_name": MODEL, "at": now}
    if message in ("hotswap.api-key", "hotswap.api-key-revoked"):
        return {**found, "key_id": f"hostile{number % 7:05d}"}
    if message == "hotswap.evidence":
        return {**found, "model_name": MODEL, "rollout_id": world.rollout_id or "r1", "at": now}
    if message == "hotswap.comparison":
        return {**found, "model_name": MODEL, "worker": "hostile", "at": now}
    if message.startswith("hotswap.command."):
        return {**found, "model_name": HOSTAGE, "command_id": f"hostile-{number}"}
    if message in ("hotswap.command-result", "hotswap.registry-state"):
        return {**found, "model_name": HOSTAGE}
    if "subject" in found:
        stream = world.fold.streams.get(HOSTAGE)
        chain = {
            "sequence": world.fold.state(HOSTAGE).sequence + 1,
            "previous": GENESIS if stream is None else stream.head_digest,
        }
        return {**found, **chain, "subject": HOSTAGE, "id": f"hostile-{number}", "causationid": f"hostile-{number}"}
    return found


def another_environments(payload: dict[str, Any]) -> dict[str, Any]:
    """The same, as a process of another environment would say it."""
    names = {"source": f"/{OTHER}/api", "worker": f"{OTHER}-w1", "actor": OTHER}
    return {name: names.get(name, value) for name, value in payload.items()}


def base_key(place: Place, message: str, number: int) -> bytes | None:
    """The key that the record should have."""
    if message in ("hotswap.infer-request", "hotswap.infer-response", "hotswap.infer-error"):
        return None
    if message == "hotswap.fleet-record":
        return f"hostile-{number % 7}/{MODEL}".encode()
    if message == "hotswap.training-progress":
        return b"hostile-%d" % (number % 7)
    if message == "hotswap.api-key":
        return b"hostile%05d" % (number % 7)
    if message == "hotswap.api-key-revoked":
        return b"hostile%05d/revoked" % (number % 7)
    if message == "hotswap.window-record":
        return b"hostile%d/w/hostile-%d" % (number, number)
    if message == "hotswap.windows-marker":
        return b"hostile%d/m" % number
    about = (
        message.startswith(("hotswap.observation", "hotswap.feedback", "hotswap.comparison", "hotswap.evidence"))
        or not message
    )
    return (MODEL if about else HOSTAGE).encode()


def base_headers(message: str, world: World, number: int, raw: bool) -> list[tuple[str, bytes | None]]:
    """The headers that the record should have."""
    json_type = b"application/msgpack" if raw else b"application/json"
    if message == "hotswap.infer-request":
        return [(header_names.CONTENT_TYPE, json_type)]
    if message in ("hotswap.infer-response", "hotswap.infer-error"):
        status = b"ok" if message.endswith("response") else b"error"
        offset = (header_names.REQUEST_OFFSET, b"0")
        return [(header_names.CONTENT_TYPE, json_type), offset, (header_names.STATUS, status)]
    if message == "hotswap.dead-letter":
        return [
            (header_names.DEAD_LETTER_CAUSE, b"made by hand"),
            (header_names.ORIGIN_TOPIC, world.topics.requests(HOSTAGE).encode()),
            (header_names.ORIGIN_PARTITION, b"0"),
            (header_names.ORIGIN_OFFSET, b"%d" % number),
            (header_names.ORIGIN_TIMESTAMP_MS, b"1700000000000"),
        ]
    if message == "hotswap.command-result":
        found = b"hostile-%d" % number
        return [(header_names.CONTENT_TYPE, json_type), (header_names.COMMAND_ID, found)]
    if message.startswith(("hotswap.model.", "hotswap.rollout.", "hotswap.alert.")):
        return [(header_names.CONTENT_TYPE, b"application/cloudevents+json; charset=UTF-8")]
    return []


def forged(name: str, world: World, number: int) -> bytes:
    """A value of this header that fits somebody else, or something else."""
    partition = number % len(world.request_ends)
    values = {
        header_names.REQUEST_OFFSET: b"%d" % (world.request_ends[partition] + 5),
        header_names.CONTENT_TYPE: b"application/msgpack",
        header_names.STATUS: b"ok",
        header_names.MODEL_NAME: b"somebody",
        header_names.MODEL_VERSION: b"v999",
        header_names.MLSERVER_MODEL: b"somebody",
        header_names.MLSERVER_VERSION: b"v999",
        header_names.DEADLINE: b"1",
        header_names.REPEATED_ID: b"allowed",
        header_names.SPRING_REPLY_TOPIC: world.topics.registry.encode(),
        header_names.SPRING_REPLY_PARTITION: b"\0\0\0\7",
        header_names.TRACEPARENT: b"00-%s-%s-01" % (_HEX[:32].encode(), _HEX[:16].encode()),
    }
    return values.get(name, _HEX[:16].encode())


def _example(message: str) -> dict[str, Any]:
    examples = message_examples()
    if message not in examples:  # of a message that is new: its envelope at least is right
        return {**_example("hotswap.model.staged.v1"), "type": message}
    found: dict[str, Any] = msgspec.json.decode(examples[message][0])
    if message == "hotswap.window-record":
        found["data"] = b"\0\0\x80?"
    return found
