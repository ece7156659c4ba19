"""Reload: put the newest version that may serve into production, or a named one; nothing happens if it is active."""

from datetime import datetime

from hotswap_events.commands import CommandResult, PromoteVersion, Refusal
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.domain.deciding.legal_steps import legal_steps
from hotswap_stream.domain.state.model import ModelState


def newest_eligible(state: ModelState) -> str | Refusal:
    """Return the newest version that is active, or that passed validation and may be promoted.

    An inconclusive verdict is a person's to decide, so such a version is taken only when it is named.
    """
    for version in reversed(state.versions.values()):
        if version.stage == "production":
            return version.model_version
        proven = version.validation is None or version.validation.verdict == "passed"
        if proven and "promote" in legal_steps(state, version):
            return version.model_version
    if not state.exists:
        return Refusal(
            code="unknown-model",
            reason=f"there is no model {state.model_name!r} yet",
            legal=("register a version", "start a training run"),
        )
    return Refusal(
        code="illegal-step",
        reason=f"no version of {state.model_name!r} has passed validation; "
        f"it has {', '.join(list(state.versions)[-20:]) or 'none yet'}",
        legal=("validate", "promote a named version", "switch"),
    )


async def reload_model(
    registry: Registry,
    *,
    command_id: str,
    actor: str,
    model_name: str,
    model_version: str | None = None,
    reason: str | None = None,
    expected_sequence: int | None = None,
    correlation_id: str | None = None,
    traceparent: str | None = None,
    expires_at: datetime | None = None,
    actor_by: str | None = None,
) -> CommandResult:
    """Promote the named version, or the newest eligible one. Errors as of `Registry.handle`."""
    if model_version is None:
        await registry.catch_up()
        chosen = newest_eligible(registry.state(model_name))
        if isinstance(chosen, Refusal):
            return CommandResult(command_id=command_id, status="refused", model_name=model_name, refusal=chosen)
        model_version = chosen
    return await registry.handle(
        PromoteVersion(
            command_id=command_id,
            actor=actor,
            model_name=model_name,
            model_version=model_version,
            reason=reason,
            expected_sequence=expected_sequence,
            correlation_id=correlation_id,
            traceparent=traceparent,
            expires_at=expires_at,
        ),
        actor_by=actor_by,
    )
