"""Whose a signed command is: the key, its secret, its time, and that it was not seen before.

A signature says nothing of what its key may do; scopes and models are those of the key, as over HTTP.
"""

import hmac
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from hotswap_events.commands import AnyCommand, DeleteArtifact
from hotswap_events.keys import KeySecret, Scope
from hotswap_events.signing import Signature, WrongSignature, read_signature, signature_of
from hotswap_stream.application.keys.access import Caller, caller_of_key
from hotswap_stream.application.keys.table import KeyTable
from hotswap_stream.application.topics.records import InboundRecord

SIGNED_SECONDS_MAX = 300.0
"""How far a signature's time may be from that of whoever handles the command."""
REMEMBERED_MAX = 100_000
"""Signatures of the last minutes; while there are as many, no further one is taken."""


class ReadKeys(Protocol):
    """The keys of the environment, followed."""

    @property
    def table(self) -> KeyTable:
        """Return what is known of them."""
        ...

    async def read(self) -> None:
        """Return once all are read. LogUnavailableError."""
        ...


class Unproven(Struct, frozen=True):
    """The signature does not show that somebody may command this; `cause` says why, and shows no secret."""

    cause: str


class CommandSignatures:
    """Checks signatures of one topic. What it remembers of those seen is gone with the process.

    A command that is sent a second time after that has the id of the first, which applies once.
    """

    def __init__(self, keys: ReadKeys, now: Callable[[], datetime]) -> None:
        self._keys = keys
        self._now = now
        self._seen: OrderedDict[str, tuple[int, int, float]] = OrderedDict()
        """Signature → partition, offset, and until when it would be valid."""

    async def whose(self, record: InboundRecord, command: AnyCommand) -> Caller | Unproven | None:
        """Return who signed a command, if his key opens it; why it does not; None where nothing is signed.

        Raises:
            LogUnavailableError: The keys cannot be read; retriable.
        """
        signature = read_signature(record.headers)
        if signature is None:
            return None
        if isinstance(signature, WrongSignature):
            return Unproven(signature.cause)
        await self._keys.read()
        now = self._now()
        found = self._holder(signature, record, now)
        if isinstance(found, Unproven):
            return found
        return self._wrong(signature, record, now.timestamp()) or _may(found, command) or found

    def _holder(self, signature: Signature, record: InboundRecord, now: datetime) -> Caller | Unproven:
        """Return whose signature it is, by the key's secrets alone."""
        value = record.value or b""

        def made_it(secret: KeySecret) -> bool:
            if secret.signing is None:
                return False
            wanted = signature_of(
                bytes.fromhex(secret.signing), record.topic, signature.key_id, signature.signed_at_ms, value
            )
            return hmac.compare_digest(wanted, signature.hexadecimal)

        key = self._keys.table.find_by(signature.key_id, made_it, now)
        if not isinstance(key, str):
            return caller_of_key(key)
        if key != "unknown":
            return Unproven(f"the key {signature.key_id} that signed it is {key}")
        return Unproven(f"no key {signature.key_id} signed it so: the key must be made with --signs")

    def _wrong(self, signature: Signature, record: InboundRecord, now_s: float) -> Unproven | None:
        """Return what is wrong with the time, or that it was seen before; else remember it."""
        late_s = now_s - signature.signed_at_ms / 1_000
        if abs(late_s) > SIGNED_SECONDS_MAX:
            when = f"{late_s:.0f} s ago" if late_s > 0 else f"{-late_s:.0f} s from now"
            return Unproven(f"it was signed {when}, by the signer's clock; {SIGNED_SECONDS_MAX:g} s are allowed")
        while self._seen and next(iter(self._seen.values()))[2] < now_s:
            self._seen.popitem(last=False)
        before = self._seen.get(signature.hexadecimal)
        if before is not None:
            if before[:2] == (record.partition, record.offset):
                return None  # the very same record, read again
            return Unproven(f"the same was sent before: it is at offset {before[1]} of partition {before[0]}")
        if len(self._seen) >= REMEMBERED_MAX:
            return Unproven(f"{REMEMBERED_MAX} commands were signed within minutes; sign it again later")
        # In the order of arrival, each for as long as any signature of now could be valid
        self._seen[signature.hexadecimal] = (record.partition, record.offset, now_s + 2 * SIGNED_SECONDS_MAX)
        return None


def _may(caller: Caller, command: AnyCommand) -> Unproven | None:
    needed: Scope = "admin" if isinstance(command, DeleteArtifact) else "operate"
    if needed not in caller.scopes:
        return Unproven(f"this needs the scope {needed}; the key of {caller.name!r} does not have it")
    if not caller.may_on(command.model_name):
        return Unproven(f"the key of {caller.name!r} is for other models than {command.model_name!r}")
    if command.actor != caller.name:
        return Unproven(f"the command says that its actor is another than {caller.name!r}, whose key signed it")
    return None
