"""The table of legal steps: what may be done with a version, given its stage and its verdict."""

from hotswap_stream.domain.state.circuits import CircuitPosition
from hotswap_stream.domain.state.model import ModelState, VersionState


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
