"""The part of a release's history that has events of newer releases, what stays possible after them, and the log's own
stream."""

from typing import Protocol

from hotswap_events.codec import REGISTRY_CODEC, digest_of
from hotswap_events.commands import AnyCommand
from hotswap_events.log_stream import FindingAcknowledged, LogBegun
from hotswap_stream.application.registry.registry import Registry
from tests.support.samples.registry import in_envelope, register, roll_back, staged, switch, validate
from tests.support.samples.serving import disable


class Writers(Protocol):
    """As much of the history's writers as this story needs."""

    one: Registry

    async def send(self, *commands: AnyCommand) -> None:
        """One after the other; each is accepted."""

    async def append(self, *values: bytes) -> None:
        """Records as they are."""

    def head(self) -> tuple[int, str]:
        """Sequence and digest of the model's last event."""
        ...


async def emergencies(writers: Writers) -> None:
    """A beginning of the log, an event that may be ignored, one that may not, and the way back after it."""
    await writers.one.record(
        LogBegun(log_id="00000000-0000-4000-8000-beginning"), actor="/hotswap/api", command_id="begin"
    )
    await writers.send(register("v1"), validate("v1", promote_first=True), register("v2"), switch("v2"), register("v3"))
    for type_name in (b"hotswap.model.staged.v1", b"hotswap.model.commented.v1"):
        sequence, head = writers.head()
        event = in_envelope(
            staged("v3"), sequence=sequence + 1, previous=head, causationid=type_name.decode(), ignorable=True
        )
        await writers.append(REGISTRY_CODEC.encode(event).replace(b"hotswap.model.staged.v1", type_name))
    await writers.send(switch("v3"))
    sequence, head = writers.head()
    newer = REGISTRY_CODEC.encode(in_envelope(staged("v1"), sequence=sequence + 1, previous=head, causationid="newer"))
    await writers.append(newer.replace(b"hotswap.model.staged.v1", b"hotswap.model.future.v9"), b"garbage")
    await writers.send(
        roll_back("emergency", "v3", reason="wrong answers"), switch("v1"), disable(reason="at once"), disable()
    )
    await writers.one.record(
        FindingAcknowledged(
            offset=11,
            digest=digest_of(b"garbage"),
            damage="unreadable",
            detail="not a CloudEvents envelope of this log",
        ),
        actor="bob",
        command_id="known",
        reason="a test",
    )
