"""Clean-up: the artifacts of old versions that nothing needs any more leave the store.

The event comes first, then the file: a process that dies in between leaves a file that nothing names, and the next
clean-up takes it. A file that another environment needs, or that is younger than the grace period, stays; who registers
the same artifact meanwhile is seen, or waits (`artifact_references`).
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from msgspec import Struct

from hotswap_events.command import COMMAND_ID_CHARACTERS_MAX, ModelVersion
from hotswap_events.commands import DeleteArtifact, Refusal
from hotswap_stream.application.artifacts.store import ArtifactStore
from hotswap_stream.application.registry.queries import Streams, unknown_model
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.domain.state.model import ModelState, VersionState
from hotswap_stream.domain.versions.retention_rules import why_kept
from hotswap_stream.errors import HotswapError


class RetentionEntry(Struct, frozen=True, kw_only=True):
    """One version and what a clean-up does with it."""

    model_name: str
    model_version: ModelVersion
    artifact_digest: str
    size_bytes: int
    kept_because: str | None
    """None: its artifact goes."""


class CleanUpPlan(Struct, frozen=True, kw_only=True):
    """What a clean-up would do to one model, newest version first; versions cleaned up before are left out."""

    model_name: str
    keep: int
    entries: tuple[RetentionEntry, ...]

    @property
    def doomed(self) -> tuple[RetentionEntry, ...]:
        """Versions whose artifacts go, oldest first."""
        return tuple(entry for entry in reversed(self.entries) if entry.kept_because is None)


class HeldArtifact(Struct, frozen=True, kw_only=True):
    """An artifact that nothing in this environment needs, and that stays all the same."""

    artifact_digest: str
    because: str
    """Such as which other environment needs it."""


class CleanUpReport(Struct, frozen=True, kw_only=True):
    """What a clean-up did, or, if it was not applied, would do."""

    model_name: str
    keep: int
    applied: bool
    deleted: tuple[RetentionEntry, ...]
    kept: tuple[RetentionEntry, ...]
    freed_bytes: int
    """Bytes of artifacts that leave the store; one that two versions share counts once."""
    refused: tuple[str, ...] = ()
    """Versions that were given a new part meanwhile, and why their artifacts stay."""
    held: tuple[HeldArtifact, ...] = ()
    """Artifacts that this model gave up, now or before, and that are still in the store."""


def plan_clean_up(streams: Streams, model_name: str, *, keep: int) -> CleanUpPlan | Refusal:
    """Keep the newest `keep` versions, and all that was ever in production or is in staging or in a rollout.

    An artifact that a kept version of any model has too is kept with it.
    """
    stream = streams.get(model_name)
    if stream is None:
        return unknown_model(streams, model_name)
    if keep < 0:
        return Refusal(code="invalid-value", reason=f"keep is {keep}; the number of newest versions to keep, 0 or more")
    state = stream.state
    newest = set(islice(reversed(state.versions), keep))
    reasons = {name: _why_kept(state, version, newest) for name, version in state.versions.items()}
    holders = _holders(streams, state, reasons)
    return CleanUpPlan(
        model_name=model_name,
        keep=keep,
        entries=tuple(
            RetentionEntry(
                model_name=model_name,
                model_version=name,
                artifact_digest=version.artifact.digest,
                size_bytes=version.artifact.size_bytes,
                kept_because=reasons[name] or _shared(holders, version),
            )
            for name, version in reversed(state.versions.items())
            if not version.artifact_deleted
        ),
    )


def _why_kept(state: ModelState, version: VersionState, newest: set[str]) -> str | None:
    return why_kept(state, version) or ("among the newest" if version.model_version in newest else None)


def _holders(streams: Streams, state: ModelState, reasons: Mapping[str, str | None]) -> dict[str, str]:
    """Return digest → what keeps it: a kept version of this model, any of another model, or a validation set."""
    holders: dict[str, str] = {}
    for other in streams.values():
        if other.state.validation_set is not None:
            holders[other.state.validation_set.artifact_digest] = f"the validation set of {other.state.model_name}"
        holders.update(dict.fromkeys(other.state.datasets, f"a dataset of {other.state.model_name}"))
        for name, version in other.state.versions.items():
            own = other.state.model_name == state.model_name
            if not version.artifact_deleted and (not own or reasons[name] is not None):
                holders[version.artifact.digest] = name if own else f"{name} of {other.state.model_name}"
    return holders


def _shared(holders: Mapping[str, str], version: VersionState) -> str | None:
    holder = holders.get(version.artifact.digest)
    return None if holder is None else f"shares its artifact with {holder}"


async def clean_up(
    registry: Registry,
    artifacts: ArtifactStore,
    model_name: str,
    *,
    keep: int,
    apply: bool,
    actor_by: str | None = None,
    **command: Any,
) -> CleanUpReport | Refusal:
    """Do it, or say what would be done. `command`: actor, command_id and the other fields common to all commands.

    Errors as of `Registry.handle` and of the artifact store; the same again goes on where it stopped.
    """
    await registry.catch_up()
    plan = plan_clean_up(registry.fold.streams, model_name, keep=keep)
    if isinstance(plan, Refusal):
        return plan
    deleted, refused, held = list(plan.doomed), list[str](), list[HeldArtifact]()
    if apply:
        deleted = []
        for entry in plan.doomed:
            result = await registry.handle(_deletion(entry, command), actor_by=actor_by)
            if result.refusal is not None:
                refused.append(result.refusal.reason)
            elif result.status == "failed":
                raise HotswapError(f"clean-up stopped at {entry.model_version!r}: {result.detail}; run it again")
            else:
                deleted.append(entry)
        await adopt(registry, artifacts)
        held = await _delete_unnamed(registry, artifacts, model_name)
    stays = {each.artifact_digest for each in held}
    return CleanUpReport(
        model_name=model_name,
        keep=keep,
        applied=apply,
        deleted=tuple(deleted),
        kept=tuple(entry for entry in plan.entries if entry.kept_because is not None),
        freed_bytes=sum(
            {
                entry.artifact_digest: entry.size_bytes for entry in deleted if entry.artifact_digest not in stays
            }.values()
        ),
        refused=tuple(refused),
        held=tuple(held),
    )


def _deletion(entry: RetentionEntry, command: Mapping[str, Any]) -> DeleteArtifact:
    # The version first: cut to the length of an id, two versions must not share one.
    command_id = f"{entry.model_version}:{command['command_id']}"[:COMMAND_ID_CHARACTERS_MAX]
    fields = {**command, "command_id": command_id, "expected_sequence": None}
    return DeleteArtifact(model_name=entry.model_name, model_version=entry.model_version, **fields)


async def adopt(registry: Registry, artifacts: ArtifactStore) -> frozenset[str]:
    """Mark all artifacts that this environment's registry names, those from before there were marks too.

    Returns:
        Digests of the artifacts that were marked.

    Raises:
        HotswapError: One of those of the artifact store.
    """
    return await artifacts.references.adopt(_named(registry))


async def _delete_unnamed(registry: Registry, artifacts: ArtifactStore, model_name: str) -> list[HeldArtifact]:
    """Delete the files this model gave up, now or in a clean-up that died, and return those that stay.

    A file stays where some version still has it, or another environment needs it.
    """
    await registry.catch_up()
    given_up = {
        digest
        for version in _versions(registry, model_name)
        if version.artifact_deleted
        for digest in _digests(version)
    }
    there = {artifact.digest for artifact in await artifacts.list()} | await artifacts.references.marked()
    held = []
    for digest in sorted(given_up & there):

        async def needed(digest: str = digest) -> bool:
            await registry.catch_up()
            return digest in _named(registry)

        if await needed():
            continue
        release = await artifacts.references.release(digest, still_needed=needed)
        if release.held_because is not None:
            held.append(HeldArtifact(artifact_digest=digest, because=release.held_because))
    return held


def _named(registry: Registry) -> frozenset[str]:
    """Return the digests of what versions have, and of the validation sets and datasets of models."""
    versions = {
        digest
        for name in registry.fold.streams
        for version in _versions(registry, name)
        if not version.artifact_deleted
        for digest in _digests(version)
    }
    sets = (registry.state(name).validation_set for name in registry.fold.streams)
    datasets = {digest for name in registry.fold.streams for digest in registry.state(name).datasets}
    return frozenset(versions | datasets | {chosen.artifact_digest for chosen in sets if chosen is not None})


def _digests(version: VersionState) -> tuple[str, ...]:
    """Return what a version has in the store. Versions of one architecture share its graph."""
    return (version.artifact.digest,) if version.graph is None else (version.artifact.digest, version.graph.digest)


def _versions(registry: Registry, model_name: str) -> Iterator[VersionState]:
    yield from registry.state(model_name).versions.values()
