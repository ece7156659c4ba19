"""Every name of a version leads back to it, and every filter is read as it is meant or refused."""

from hypothesis import given
from hypothesis import strategies as st

from hotswap_stream.application.mlflow.filters import FilterError, parse_filter
from hotswap_stream.application.mlflow.versions import number_of, version_named
from hotswap_stream.domain.evolve import evolve
from hotswap_stream.domain.state.model import ModelState
from tests.support.samples.registry import MODEL, in_envelope, trained


def state_with(*versions: str) -> ModelState:
    state = ModelState(MODEL)
    for number, name in enumerate(versions, start=1):
        envelope = in_envelope(trained(name), sequence=number, previous="0" * 64, causationid=f"c{number}")
        state = evolve(state, envelope)
    return state


@given(st.lists(st.sampled_from(["v1", "v2", "1", "v01", "v", "mine", "v10", "2024"]), unique=True, min_size=1))
def test_each_version_has_one_name_that_leads_back_to_it(names: list[str]) -> None:
    state = state_with(*names)
    numbers = [number_of(state, name) for name in names]
    assert len(set(numbers)) == len(names)
    assert [version_named(state, number) for number in numbers] == names
    assert [version_named(state, name) for name in names] == names


@given(st.text(max_size=60))
def test_whatever_a_filter_is_it_is_read_or_refused(text: str) -> None:
    try:
        conditions = parse_filter(text, ("name", "run_id"))
    except FilterError:
        return
    assert text.strip() == "" or conditions


VALUES = st.text(st.characters(codec="utf-8", exclude_characters="'\""), max_size=20)


@given(
    st.lists(
        st.tuples(st.sampled_from(["name", "run_id", "tags.`a b`", "tag.c"]), st.booleans(), VALUES),
        min_size=1,
        max_size=16,
    )
)
def test_a_filter_means_what_it_says(conditions: list[tuple[str, bool, str]]) -> None:
    text = " AND ".join(f"{key} {'=' if equal else '!='} '{value}'" for key, equal, value in conditions)
    parsed = parse_filter(text, ("name", "run_id"))
    keys = {"tags.`a b`": (None, "a b"), "tag.c": (None, "c")}
    assert [(one.field, one.tag, one.equal, one.value) for one in parsed] == [
        (*keys.get(key, (key, None)), equal, value) for key, equal, value in conditions
    ]
