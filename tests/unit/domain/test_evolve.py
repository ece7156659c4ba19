"""What each event means, and that an event which contradicts the state leaves it untouched."""

import pytest

from hotswap_events.registry.events import ModelPromoted, ModelRolledBack, RegistryEvent
from hotswap_stream.domain.evolve import IllegalEventError, evolve, evolve_in_place, evolve_unknown_in_place
from hotswap_stream.domain.state.model import ModelState
from tests.support.decider_specification import state_after
from tests.support.samples.registry import (
    archived,
    artifact_of,
    in_envelope,
    promoted,
    rolled_back,
    staged,
    trained,
    training_failed,
    training_started,
    validated,
)

TWO_ACTIVE_ONE = (trained("v1"), promoted("v1"), trained("v2"))


def test_registered_version_is_in_no_stage() -> None:
    version = state_after(trained("v1")).versions["v1"]
    assert (version.stage, version.registered_sequence, version.artifact) == ("none", 1, artifact_of("v1"))
    assert not version.was_in_production


def test_promotion_supersedes_the_active_one() -> None:
    state = state_after(*TWO_ACTIVE_ONE, promoted("v2", "v1"))
    assert state.active_version == "v2"
    assert {name: version.stage for name, version in state.versions.items()} == {"v1": "superseded", "v2": "production"}
    assert state.production_history == ["v1", "v2"]
    assert state.versions["v1"].production_sequences == (2,)
    assert state.former_version == "v1"


def test_rollback_archives_what_it_leaves_and_forgets_nothing() -> None:
    state = state_after(*TWO_ACTIVE_ONE, promoted("v2", "v1"), rolled_back("v1", "v2"))
    assert state.active_version == "v1"
    assert state.versions["v2"].stage == "archived"
    assert state.versions["v1"].production_sequences == (2, 5)
    assert state.versions["v2"].production_sequences == (4,)
    assert state.production_history == ["v1", "v2", "v1"]
    assert state.former_version is None


def test_stages_and_verdicts() -> None:
    state = state_after(trained("v1"), staged("v1"), validated("v1", "failed", 0.2), archived("v1"))
    assert state.versions["v1"].stage == "archived"
    assert state.versions["v1"].validation == validated("v1", "failed", 0.2)


def test_runs() -> None:
    state = state_after(training_started("a"), training_failed("a"), training_started("b"), trained("v1", "b"))
    told = [(run.run_id, run.status, run.detail, run.model_version) for run in state.runs.values()]
    assert told == [("a", "failed", "bad-data: labels are inverted", None), ("b", "succeeded", None, "v1")]


def test_a_command_is_remembered_with_its_first_event() -> None:
    state = ModelState("digits")
    evolve_in_place(state, in_envelope(trained("v1"), sequence=1, causationid="one"))
    evolve_in_place(state, in_envelope(validated("v1"), sequence=2, causationid="two"))
    evolve_in_place(state, in_envelope(promoted("v1"), sequence=3, causationid="two"))
    assert state.command_ids == {"one": 1, "two": 2}


def test_evolve_leaves_the_state_it_is_given_alone() -> None:
    state = state_after(*TWO_ACTIVE_ONE)
    before = state.copy()
    after = evolve(state, in_envelope(promoted("v2", "v1"), sequence=4))
    assert state == before
    assert after.active_version == "v2"


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (trained("v1"), "has a version 'v1' already"),
        (validated("v9"), "no version 'v9'"),
        (staged("v9"), "no version 'v9'"),
        (staged("v1"), "cannot go back to staging"),
        (archived("v9"), "no version 'v9'"),
        (archived("v1"), "would leave none"),
        (promoted("v9", "v1"), "no version 'v9'"),
        (promoted("v2"), "names None as active"),
        (promoted("v2", "v9"), "names 'v9' as active"),
        (promoted("v1", "v1"), "active already"),
        (
            ModelPromoted(model_version="v2", artifact_digest=artifact_of("v1").digest, previous_version="v1"),
            "not the one registered",
        ),
        (rolled_back("v9", "v1"), "no version 'v9'"),
        (rolled_back("v2", "v2"), "names 'v2' as active"),
        (rolled_back("v1", "v1"), "active already"),
        (
            ModelRolledBack(
                model_version="v2", artifact_digest=artifact_of("v1").digest, from_version="v1", cause="operator"
            ),
            "not the one registered",
        ),
    ],
)
def test_an_event_that_contradicts_the_state_changes_nothing(event: RegistryEvent, words: str) -> None:
    state = state_after(*TWO_ACTIVE_ONE)
    before = state.copy()
    with pytest.raises(IllegalEventError, match=words):
        evolve_in_place(state, in_envelope(event, sequence=4))
    assert state == before


def test_rollback_of_a_model_with_none_active_contradicts() -> None:
    with pytest.raises(IllegalEventError, match="the stream says None"):
        evolve(state_after(trained("v1"), trained("v2")), in_envelope(rolled_back("v1", "v2"), sequence=3))


def test_behind_an_event_of_a_newer_release_a_contradiction_counts_and_means_nothing() -> None:
    state = state_after(*TWO_ACTIVE_ONE)
    evolve_unknown_in_place(state, "hotswap.model.promoted.v2", 4, "newer")
    versions = state.copy().versions
    evolve_in_place(state, in_envelope(rolled_back("v1", "v3"), sequence=5, causationid="rollback"))
    assert (state.sequence, state.active_version, state.versions) == (5, "v1", versions)
    assert state.command_ids["rollback"] == 5
