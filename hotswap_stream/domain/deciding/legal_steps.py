"""The table of legal steps: what may be done with a version, given its stage and its verdict."""

from hotswap_stream.domain.deciding.signatures import breaks_requests
from hotswap_stream.domain.state.circuits import CircuitPosition
from hotswap_stream.domain.state.model import ModelState, VersionState
from hotswap_stream.domain.state.standing_in import leaves_unanswered

VERSIONS_NAMED_MAX = 3


def legal_steps(state: ModelState, version: VersionState) -> tuple[str, ...]:
    """Return the steps by name, in the order a person would take them.

    | stage      | validate | stage        | promote                    | switch | archive | roll back        |
    |------------|----------|--------------|----------------------------|--------|---------|------------------|
    | none       | yes      | not failed   | passed or inconclusive     | yes    | yes     |                  |
    | staging    | yes      | (no-op)      | passed or inconclusive     | yes    | yes     |                  |
    | production |          |              | (no-op)                    |        |         | if a former one  |
    | superseded | yes      | yes          | yes, unless failed since   | yes    | yes     |                  |
    | archived   |          | not failed   |                            | yes    |         |                  |

    A profile may be recorded in every stage; it is no step.
    Nothing is legal once its artifact was deleted. An inconclusive verdict is a person's to decide, so `promote` is the
    person's word. `switch` forces.
    """
    if version.artifact_deleted:
        return ()
    verdict = None if version.validation is None else version.validation.verdict
    if version.stage == "production":
        return ("roll back",) if state.former_version is not None else ()
    steps: list[str] = []
    if version.stage != "archived":
        steps.append("validate")
    if version.stage != "staging" and verdict != "failed":
        steps.append("stage")
    proven = verdict in ("passed", "inconclusive") or version.was_in_production
    if version.stage != "archived" and verdict != "failed" and proven:
        steps.append("promote")
    steps.append("switch")
    if version.stage != "archived":
        steps.append("archive")
    return tuple(steps)


def accepted_steps(state: ModelState, version: VersionState) -> tuple[str, ...]:
    """Return the legal steps as they would be accepted now: each with the field that it needs besides.

    ``promote with allow_signature_change`` means that the command is accepted with that field set, and not without it;
    ``roll back from v2`` that it must name what it leaves.
    """
    steps: list[str] = []
    for step in legal_steps(state, version):
        if step in ("promote", "switch") and breaks_requests(state, version):
            steps.append(f"{step} with allow_signature_change")
        elif step == "roll back" and state.rolled_back_from is not None:
            steps.append(f"roll back from {state.active_version}")
        elif step != "archive" or leaves_unanswered(state, version) is None:
            steps.append(step)
    return tuple(steps)


def ways_into_production(state: ModelState) -> tuple[str, ...]:
    """Return how some version other than the active one gets into production now, the newest first; at most three.

    Where none can, a version must be registered first.
    """
    found: list[str] = []
    for version in reversed(state.versions.values()):
        steps = accepted_steps(state, version)
        best = next((step for step in steps if step.startswith("promote")), None)
        best = best or next((step for step in steps if step.startswith("switch")), None)
        if best is not None:
            verb, _, needed = best.partition(" with ")
            to = f"{verb} {version.model_version}" if verb == "promote" else f"{verb} to {version.model_version}"
            found.append(f"{to} with {needed}" if needed else to)
    return tuple(found[:VERSIONS_NAMED_MAX]) or ("register",)


def circuit_steps(version: VersionState, position: CircuitPosition) -> tuple[str, ...]:
    """Return the steps that move a version's circuit, by name.

    | circuit   | open circuit            | half-open circuit | reset circuit |
    |-----------|-------------------------|-------------------|---------------|
    | closed    | unless it is archived   |                   | (no-op)       |
    | open      | (no-op)                 | yes               | yes           |
    | half-open | unless it is archived   | (no-op)           | yes           |

    Entering production resets it too.
    """
    steps: list[str] = []
    if position != "open" and version.stage != "archived":
        steps.append("open circuit")
    if position == "open":
        steps.append("half-open circuit")
    if position != "closed":
        steps.append("reset circuit")
    return tuple(steps)
