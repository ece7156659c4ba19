"""What all commands carry, and the types of their common fields."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from hotswap_events.bounds import INT64_MAX

ACTOR_CHARACTERS_MAX = 200
COMMAND_ID_CHARACTERS_MAX = 128

Actor = Annotated[str, Meta(min_length=1, max_length=ACTOR_CHARACTERS_MAX)]
CommandId = Annotated[str, Meta(min_length=1, max_length=COMMAND_ID_CHARACTERS_MAX)]
ModelName = Annotated[str, Meta(min_length=1, max_length=63)]
ModelVersion = Annotated[str, Meta(min_length=1, max_length=63)]
Reason = Annotated[str, Meta(max_length=2_000)]
RunId = Annotated[str, Meta(min_length=1, max_length=128)]


class Command(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", gc=False):
    """What all commands carry. A command with a `command_id` that was applied before changes nothing."""

    command_id: CommandId
    actor: Actor
    model_name: ModelName
    reason: Reason | None = None
    expected_sequence: Annotated[int, Meta(ge=0, le=INT64_MAX)] | None = None
    """Refuse unless the model's stream is at this sequence: for a caller that decided on what it had read."""
    correlation_id: CommandId | None = None
    traceparent: Annotated[str, Meta(max_length=128)] | None = None
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None
    """From then on it is refused instead of carried out, by the clock of whoever handles it."""
