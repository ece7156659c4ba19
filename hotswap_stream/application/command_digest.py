"""What a command asks for, as a digest that its events carry: the same id for something else is a mistake.

The log makes sure that no id applies twice. Without the digest, whoever gave two commands one id would hear of the
second that it was done; every process that folds the log can tell them apart by it, however the command came.
"""

from collections.abc import Mapping
from hashlib import sha256

import msgspec

from hotswap_events.command import Command
from hotswap_events.commands import AnyCommand, Refusal, RegisterVersion, RequestTraining, ValidateVersion
from hotswap_events.envelope import COMMAND_DIGEST_CHARACTERS
from hotswap_events.registry.profile import ProfileVersion
from hotswap_events.training.triggers import FireTrigger
from hotswap_stream.domain.reserved import wrong_command_id

_WAY = frozenset(Command.__struct_fields__) - {"model_name"}
"""Who asks, why, by which id and on which reading: another attempt may differ in that."""
_MEASURED: Mapping[type, frozenset[str]] = {
    RegisterVersion: frozenset({"provenance", "metrics", "trial", "graph"}),
    ValidateVersion: frozenset({"figures", "baseline_version", "baseline_figures"}),
    ProfileVersion: frozenset({"profile"}),
    RequestTraining: frozenset({"run_id"}),
    FireTrigger: frozenset({"at", "figures", "detail"}),
}
"""Fields that whoever sends a command again may have measured, or made up, anew."""


def command_digest(command: AnyCommand) -> str | None:
    """Return the digest of what a command asks for; None for the product's own, whose ids say it already."""
    if wrong_command_id(command.command_id) is not None:
        return None
    left_out = _WAY | _MEASURED.get(type(command), frozenset())
    asked = {name: value for name, value in msgspec.to_builtins(command).items() if name not in left_out}
    return sha256(msgspec.json.encode(asked, order="sorted")).hexdigest()[:COMMAND_DIGEST_CHARACTERS]


def used_otherwise(command: AnyCommand, applied: Mapping[str, str]) -> Refusal | None:
    """Return the refusal of a command whose id was applied for something else.

    Args:
        command: What is asked for.
        applied: Id → digest, of commands of the model that were applied.
    """
    before = applied.get(command.command_id)
    if before is None or before == (command_digest(command) or before):
        return None
    return Refusal(
        code="idempotency-mismatch",
        reason=f"the command id {command.command_id!r} was used for another command: a new command needs a new id",
    )
