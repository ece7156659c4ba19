"""What is done with each record of `hotswap.commands`: a result, or a dead letter with its cause; never silence."""

from typing import Any, Literal

import msgspec
from msgspec import Struct

from hotswap_events import headers
from hotswap_events.command import ACTOR_CHARACTERS_MAX
from hotswap_events.commands import AnyCommand, CommandId, CommandResult, Refusal
from hotswap_events.inference.messages import JSON_CONTENT_TYPE
from hotswap_events.nesting import nests_too_deep
from hotswap_events.signing import read_signature
from hotswap_events.topics import Topics
from hotswap_stream.agents.record_care import RecordCare
from hotswap_stream.application.keys.signatures import CommandSignatures, Unproven
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.application.topics.dead_letter import CAUSE_CHARACTERS_MAX
from hotswap_stream.application.topics.records import InboundRecord, OutboundRecord, Publisher
from hotswap_stream.domain.reserved import TOPIC_ACTOR, wrong_actor, wrong_command_id

Unsigned = Literal["anybody", "acl", "signed"]
"""Whose commands count that are not signed: anybody's, marked so; those of whom access rules let write; nobody's."""
ActorBy = Literal["topic", "acl", "signature"]

COMMAND_BYTES_MAX = 900_000
"""The limit on a command's value; what is longer could not be copied whole to the dead letters."""

MODEL_NAME_CHARACTERS_MAX = 63

_decoder: msgspec.json.Decoder[AnyCommand] = msgspec.json.Decoder(AnyCommand)
_encoder = msgspec.json.Encoder()


class _CommandGlimpse(Struct, frozen=True, gc=False):
    """As much of an unreadable command as is needed to answer whoever waits for it."""

    command_id: CommandId
    model_name: Any = None


_glimpse_decoder = msgspec.json.Decoder(_CommandGlimpse)


class UnreadableCommand(Struct, frozen=True):
    """The record is not a command; `cause` says why, `command_id` whom to tell."""

    cause: str
    command_id: str | None = None
    model_name: str = ""


def read_command(record: InboundRecord) -> AnyCommand | UnreadableCommand:
    """Return the command in a record.

    The record key must be the command's model name in UTF-8: the order of one model's commands hangs on it, so a
    missing or other key makes the record unreadable.
    """
    value = record.value
    if value is None:
        return UnreadableCommand("null value: a command is a JSON object")
    if len(value) > COMMAND_BYTES_MAX:
        return _unreadable(value, f"{len(value)} bytes: a command has at most {COMMAND_BYTES_MAX}")
    if nests_too_deep(value):
        return UnreadableCommand("nests too deep to be a command")
    try:
        command = _decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return _unreadable(value, f"not a command: {error}")
    if record.key is None:
        return _unreadable(value, f"the record has no key: it must be the model name {command.model_name!r}")
    try:
        key = record.key.decode()
    except UnicodeDecodeError:
        return _unreadable(value, f"the record key is not UTF-8: it must be the model name {command.model_name!r}")
    if key != command.model_name:
        return _unreadable(
            value, f"the record key {key[:100]!r} is not the command's model name {command.model_name!r}"
        )
    return command


def _unreadable(value: bytes, cause: str) -> UnreadableCommand:
    cause = cause[:CAUSE_CHARACTERS_MAX]
    try:
        glimpse = _glimpse_decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return UnreadableCommand(cause)
    model_name = glimpse.model_name if isinstance(glimpse.model_name, str) else ""
    return UnreadableCommand(cause, glimpse.command_id, model_name[:MODEL_NAME_CHARACTERS_MAX])


class CommandAgent:
    """Handles commands one after the other, at least once: a command read again after a crash yields `unchanged`.

    A waiting client takes the first result with its command id; further ones are repetitions.
    """

    def __init__(
        self,
        registry: Registry,
        publisher: Publisher,
        topics: Topics,
        *,
        care: RecordCare | None = None,
        signatures: CommandSignatures | None = None,
        unsigned: Unsigned = "anybody",
    ) -> None:
        """Make the agent.

        Args:
            registry: Handles the commands.
            publisher: Takes results and dead letters.
            topics: Of the environment.
            care: What is done with records that cannot be handled.
            signatures: Tells whose a signed command is; None: no signature holds.
            unsigned: What a command that is not signed counts for: see `HOTSWAP_COMMANDS_FROM_TOPIC`.
        """
        self._signatures = signatures
        self._unsigned = unsigned
        self.unproven_count = 0
        self._registry = registry
        self._publisher = publisher
        self._topics = topics
        self._care = care or RecordCare(publisher, topics)
        self.handle = self._care.of(self._handle, on_put_aside=self._answer_failed)
        """Return when the record needs no more care. A retriable HotswapError means: read it again."""

    async def _handle(self, record: InboundRecord) -> None:
        command = read_command(record)
        if isinstance(command, UnreadableCommand):
            await self._put_aside(record, command)
            return
        whose = await self._whose(record, command)
        if isinstance(whose, Unproven):
            self.unproven_count += 1
            await self._care.put_aside(record, f"the signature does not hold: {whose.cause}")
            result = _refused(command, Refusal(code="signature-refused", reason=whose.cause))
        elif wrong := wrong_command_id(command.command_id) or wrong_actor(command.actor):
            result = _refused(command, Refusal(code="invalid-value", reason=wrong))
        else:
            actor, by = whose
            result = await self._registry.handle(msgspec.structs.replace(command, actor=actor), actor_by=by)
        await self._answer(result, correlation_id=command.correlation_id)

    async def _whose(self, record: InboundRecord, command: AnyCommand) -> tuple[str, ActorBy] | Unproven:
        """Return who commands and how that is known, or why nobody can be believed to. LogUnavailableError."""
        if self._signatures is not None:
            signer = await self._signatures.whose(record, command)
        else:
            signer = None if read_signature(record.headers) is None else Unproven("no keys are known here")
        if isinstance(signer, Unproven):
            return signer
        if signer is not None:
            return signer.name or "", "signature"
        if self._unsigned == "signed":
            return Unproven("it is not signed, and HOTSWAP_COMMANDS_FROM_TOPIC takes signed commands only")
        if self._unsigned == "acl":
            return command.actor, "acl"
        return f"{TOPIC_ACTOR}{command.actor}"[:ACTOR_CHARACTERS_MAX], "topic"

    async def _answer_failed(self, record: InboundRecord, cause: str) -> None:
        """Answer whoever waits for a command that could not be handled."""
        command = read_command(record)
        if not isinstance(command, UnreadableCommand):
            await self._answer(_failed(command, cause), correlation_id=command.correlation_id)

    async def _put_aside(self, record: InboundRecord, command: UnreadableCommand) -> None:
        await self._care.put_aside(record, command.cause)
        if command.command_id is not None:
            await self._answer(
                CommandResult(
                    command_id=command.command_id,
                    status="refused",
                    model_name=command.model_name,
                    refusal=Refusal(code="command-unreadable", reason=command.cause),
                ),
                correlation_id=None,
            )

    async def _answer(self, result: CommandResult, *, correlation_id: str | None) -> None:
        await self._publisher.publish(
            OutboundRecord(
                topic=self._topics.command_results,
                key=result.model_name.encode(),
                value=_encoder.encode(result),
                headers=(
                    (headers.CONTENT_TYPE, JSON_CONTENT_TYPE.encode()),
                    (headers.COMMAND_ID, result.command_id.encode()),
                    (headers.CORRELATION_ID, (correlation_id or result.command_id).encode()),
                ),
            )
        )


def _refused(command: AnyCommand, refusal: Refusal) -> CommandResult:
    return CommandResult(
        command_id=command.command_id, status="refused", model_name=command.model_name, refusal=refusal
    )


def _failed(command: AnyCommand, detail: str) -> CommandResult:
    return CommandResult(
        command_id=command.command_id,
        status="failed",
        model_name=command.model_name,
        detail=detail[:CAUSE_CHARACTERS_MAX],
    )
