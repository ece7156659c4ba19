"""Whether requests that a version answers are answered by another one, and in a form that their senders can read."""

from hotswap_events.commands import Refusal
from hotswap_events.inference.signature import ModelSignature, TensorSignature
from hotswap_stream.domain.state.model import ModelState, VersionState

FREE = -1
DIFFERENCES_NAMED_MAX = 4


def breaking_differences(active: ModelSignature, other: ModelSignature) -> list[str]:
    """Return what of `other` would break those who send requests to `active`, each as a few words.

    A request must still fit, so each input must be there, with the same datatype and sizes that are the same or free,
    and no other may be needed. What is read of the answers must still be there: outputs may be more, not fewer, with
    the same datatype and sizes that are the same, or were free before.
    """
    taken, returned = _by_name(other.inputs), _by_name(other.outputs)
    known = {spec.name for spec in active.inputs}
    found = [f"it needs an input {name!r} {_shown(taken[name])}" for name in taken if name not in known]
    for spec in active.inputs:
        now = taken.get(spec.name)
        if now is None:
            found.append(f"it has no input {spec.name!r}")
        elif not _takes(now, spec):
            found.append(f"input {spec.name!r} is {_shown(now)} instead of {_shown(spec)}")
    for spec in active.outputs:
        now = returned.get(spec.name)
        if now is None:
            found.append(f"it has no output {spec.name!r}")
        elif not _takes(spec, now):
            found.append(f"output {spec.name!r} is {_shown(now)} instead of {_shown(spec)}")
    return found


def differing_signature(state: ModelState, version: VersionState, *, allowed: bool) -> Refusal | None:
    """Refuse to give a version the requests of the active one if that would break them, unless it is allowed.

    Versions that say nothing of their signatures, as those of older releases, are taken as they are.
    """
    found = [] if allowed else _differences(state, version)
    if not found or state.active_version is None:
        return None
    more = len(found) - DIFFERENCES_NAMED_MAX
    listed = "; ".join(found[:DIFFERENCES_NAMED_MAX]) + (f"; and {more} more" if more > 0 else "")
    return Refusal(
        code="illegal-step",
        reason=f"{version.model_version!r} of {state.model_name!r} takes or returns something else than the active "
        f"{state.active_version!r}, so its users' requests would break: {listed}. If they know, say so with "
        "allow_signature_change (--allow-signature-change)",
    )


def breaks_requests(state: ModelState, version: VersionState) -> bool:
    """Return whether requests of the active version's users would break, so that whoever sends them must allow it."""
    return bool(_differences(state, version))


def _differences(state: ModelState, version: VersionState) -> list[str]:
    active = state.active
    if active is None or active.artifact.signature is None or version.artifact.signature is None:
        return []
    return breaking_differences(active.artifact.signature, version.artifact.signature)


def _by_name(tensors: tuple[TensorSignature, ...]) -> dict[str, TensorSignature]:
    return {spec.name: spec for spec in tensors}


def _takes(wider: TensorSignature, narrower: TensorSignature) -> bool:
    """Return whether every tensor of the one is one of the other."""
    return (
        wider.datatype == narrower.datatype
        and len(wider.shape) == len(narrower.shape)
        and all(size in (FREE, other) for size, other in zip(wider.shape, narrower.shape, strict=True))
    )


def _shown(spec: TensorSignature) -> str:
    return f"{spec.datatype} {list(spec.shape)}"
