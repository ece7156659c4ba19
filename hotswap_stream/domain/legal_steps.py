"""The table of legal steps: what may be done with a version, given its stage and its verdict."""

from hotswap_stream.domain.state import ModelState, VersionState


def legal_steps(state: ModelState, version: VersionState) -> tuple[str, ...]:
    """Steps by name, in the order a person would take them.

    | stage      | validate | stage        | promote                    | switch | archive | roll back        |
    |------------|----------|--------------|----------------------------|--------|---------|------------------|
    | none       | yes      | not failed   | passed or inconclusive     | yes    | yes     |                  |
    | staging    | yes      | (no-op)      | passed or inconclusive     | yes    | yes     |                  |
    | production |          |              | (no-op)                    |        |         | if a former one  |
    | superseded | yes      | yes          | yes, unless failed since   | yes    | yes     |                  |
    | archived   |          | not failed   |                            | yes    |         |                  |

    An inconclusive verdict is a person's to decide, so `promote` is the person's word. `switch` forces.
    """
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
