"""Tags of models and versions, and aliases: what may be set, and that nothing of it can contradict a state."""

import pytest

from hotswap_events.codec import REGISTRY_CODEC
from hotswap_events.commands import AnyCommand, Refusal
from hotswap_events.registry.events import RegistryEvent
from hotswap_events.registry.tags import ALIASES_MAX, TAGS_MAX, AliasSet, ModelTagged
from hotswap_stream.domain.decide import Accepted, decide
from hotswap_stream.domain.evolve import evolve
from hotswap_stream.domain.state.model import ModelState
from tests.support.samples.registry import MODEL, in_envelope, trained
from tests.support.samples.tags import set_alias, tag


def after(*events: RegistryEvent) -> ModelState:
    state = ModelState(MODEL)
    for number, event in enumerate(events, start=1):
        state = evolve(state, in_envelope(event, sequence=number, previous="0" * 64, causationid=f"c{number}"))
    return state


ONE = after(trained("v1"), ModelTagged(tags={"team": "post"}), ModelTagged(model_version="v1", tags={"a": "1"}))


def events(state: ModelState, command: AnyCommand) -> tuple[RegistryEvent, ...]:
    decision = decide(state, command)
    assert isinstance(decision, Accepted), decision
    return decision.events


def refused(state: ModelState, command: AnyCommand) -> Refusal:
    decision = decide(state, command)
    assert isinstance(decision, Refusal), decision
    return decision


def test_a_tag_begins_a_model_and_nothing_of_a_version() -> None:
    new = ModelState(MODEL)
    assert events(new, tag()) == (ModelTagged(),)
    assert after(ModelTagged()).exists
    assert refused(new, tag("v1", {"a": "1"})).code == "unknown-version"
    assert refused(new, set_alias("blue", "v1")).code == "unknown-model"
    assert "letters" in refused(ModelState("a.b"), tag(model_name="a.b")).reason


def test_only_what_changes_is_recorded() -> None:
    assert ONE.versions["v1"].tags == {"a": "1"}
    command = tag("v1", {"a": "1", "b": "2"}, "c")
    assert events(ONE, command) == (ModelTagged(model_version="v1", tags={"b": "2"}),)
    assert events(ONE, tag("v1", {"a": "1"}, "c")) == ()
    assert events(ONE, tag(None, {}, "team", "team")) == (ModelTagged(removed=("team",)),)
    assert after(trained("v1"), ModelTagged(tags={"a": "1", "b": "1"}), ModelTagged(removed=("a",))).tags == {"b": "1"}


def test_tags_have_limits() -> None:
    full = after(trained("v1"), ModelTagged(tags={f"t{number}": "" for number in range(TAGS_MAX)}))
    assert "65 tags" in refused(full, tag(None, {"more": ""})).reason
    assert events(full, tag(None, {"more": ""}, "t0")) == (ModelTagged(tags={"more": ""}, removed=("t0",)),)
    assert events(full, tag(None, {"t1": "x"})) == (ModelTagged(tags={"t1": "x"}),)
    assert "1024" in refused(ONE, tag(None, {"a": "x" * 1_025})).reason
    assert "128" in refused(ONE, tag("v1", {"x" * 129: ""})).reason
    assert "to be removed" in refused(ONE, tag(None, {"a": "1"}, "a")).reason


def test_an_alias_is_set_moved_and_removed() -> None:
    assert events(ONE, set_alias("blue", "v1")) == (AliasSet(alias="blue", model_version="v1"),)
    blue = after(trained("v1"), trained("v2"), AliasSet(alias="blue", model_version="v1"))
    assert events(blue, set_alias("blue", "v1")) == ()
    assert events(blue, set_alias("blue", "v2")) == (AliasSet(alias="blue", model_version="v2"),)
    assert events(blue, set_alias("blue")) == (AliasSet(alias="blue"),)
    assert events(blue, set_alias("green")) == ()
    assert refused(blue, set_alias("blue", "v9")).legal == ("v2", "v1")
    full = after(trained("v1"), *(AliasSet(alias=f"a{number}", model_version="v1") for number in range(ALIASES_MAX)))
    assert "the most" in refused(full, set_alias("more", "v1")).reason
    assert events(full, set_alias("a1")) == (AliasSet(alias="a1"),)


@pytest.mark.parametrize("alias", ["", "3", "v3", "V3", "latest", "LATEST", "a b", "a/b", "ä", ".a", "x" * 64])
def test_what_reads_as_a_version_is_no_alias(alias: str) -> None:
    assert "is not valid" in refused(ONE, set_alias(alias, "v1")).reason


def test_what_names_no_version_has_no_effect_but_counts() -> None:
    """A release that does not know these events takes them all for counting."""
    state = after(
        trained("v1"), ModelTagged(model_version="v9", tags={"a": "1"}), AliasSet(alias="x", model_version="v9")
    )
    assert (state.sequence, state.tags, state.aliases) == (3, {}, {})
    for event in (ModelTagged(), AliasSet(alias="x")):
        value = REGISTRY_CODEC.encode(in_envelope(event, sequence=1, previous="0" * 64, causationid="c"))
        assert b'"ignorable":true' in value
    assert b"ignorable" not in REGISTRY_CODEC.encode(
        in_envelope(trained("v1"), sequence=1, previous="0" * 64, causationid="c")
    )
