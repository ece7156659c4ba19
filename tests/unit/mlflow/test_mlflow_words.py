"""Names of versions, filters and provenance, between MLflow's words and ours."""

import pytest

from hotswap_events.commands import Refusal
from hotswap_stream.application.mlflow.filters import FilterError, parse_filter
from hotswap_stream.application.mlflow.provenance import provenance_of
from hotswap_stream.application.mlflow.source import ImportedModel
from hotswap_stream.application.mlflow.versions import number_of, version_named
from hotswap_stream.domain.deciding.limits import wrong_provenance
from hotswap_stream.domain.evolve import evolve
from hotswap_stream.domain.state.model import ModelState
from tests.support.samples.registry import MODEL, in_envelope, trained


def state_with(*versions: str) -> ModelState:
    state = ModelState(MODEL)
    for number, name in enumerate(versions, start=1):
        envelope = in_envelope(trained(name), sequence=number, previous="0" * 64, causationid=f"c{number}")
        state = evolve(state, envelope)
    return state


def test_a_number_is_what_the_next_version_here_is_named() -> None:
    state = state_with("v1", "v2", "mine")
    assert [number_of(state, name) for name in ("v1", "v2", "mine")] == ["1", "2", "mine"]
    refusal = version_named(state, "3")
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "'digits' has no version '3'; it has mine, 2, 1"
    assert number_of(state_with("v1", "1"), "v1") == "v1"


def test_a_tag_that_is_not_there_equals_nothing() -> None:
    (condition,) = parse_filter("tags.a != '1'", ())
    assert [condition.holds({}, tags) for tags in ({}, {"a": "2"}, {"a": "1"})] == [True, True, False]
    (condition,) = parse_filter("tags.a = ''", ())
    assert [condition.holds({}, tags) for tags in ({}, {"a": ""})] == [False, True]


@pytest.mark.parametrize("text", ["name = 'x' " * 2, " AND ".join(["name = 'x'"] * 17), f"name = '{'x' * 5_000}'"])
def test_filters_have_limits(text: str) -> None:
    with pytest.raises(FilterError):
        parse_filter(text, ("name",))


def test_what_others_say_of_a_model_always_fits_into_the_event() -> None:
    imported = ImportedModel(
        artifact_digest=f"sha256:{'0' * 64}",
        flavor="sklearn",
        environment={f"package-{number}": "1" * 2_000 for number in range(70)},
        facts={"rows": "7", "x" * 300: "y"},
        warnings=("one", "two" * 2_000),
    )
    source = "s3://bucket/" + "x" * 4_000
    provenance = provenance_of(imported, source=source, created_by="ada", model_id="m-1")
    assert wrong_provenance(provenance) is None
    told = provenance.environment
    assert (told["mlflow.flavor"], told["mlflow.model_id"]) == ("sklearn", "m-1")
    assert told["mlflow.source"].startswith("s3://bucket/x")
    assert told["mlflow.source"].endswith("…")
    assert told["mlflow.warnings"].startswith("one; two")
    assert "mlflow.run_link" not in told


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("https://ada:secret@mlflow.example:5000/m?X-Amz-Signature=secret#x", "https://mlflow.example:5000/m"),
        ("s3://bucket/a/model", "s3://bucket/a/model"),
        ("file:///models/a b", "file:///models/a b"),
        ("/models/what?", "/models/what?"),
        ("models:/flowers@champion", "models:/flowers@champion"),
        ("https://[", "https://["),
    ],
)
def test_no_secret_of_an_address_goes_into_the_log(source: str, told: str) -> None:
    imported = ImportedModel(artifact_digest=f"sha256:{'0' * 64}")
    provenance = provenance_of(imported, source=source, created_by="ada", run_link=source)
    assert provenance.environment == {"mlflow.source": told, "mlflow.run_link": told}
