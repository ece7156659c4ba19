"""MLflow's client, unchanged, on this registry: models, versions, tags, searches, stages and aliases."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from mlflow import MlflowException

from tests.support.stages.mlflow import KEYS, NAME, MlflowStage, open_mlflow_stage

pytestmark = pytest.mark.filterwarnings("ignore:.*is deprecated since 2.9.0.*stages:FutureWarning")


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[MlflowStage]:
    async with open_mlflow_stage(tmp_path) as stage:
        await stage.ask(lambda client: client.create_registered_model(NAME, {"team": "post"}, "What grows here."))
        yield stage


async def test_a_model_and_a_version_are_created_and_read_again(stage: MlflowStage) -> None:
    model = await stage.ask(lambda client: client.get_registered_model(NAME))
    assert (model.name, model.tags, model.description) == (NAME, {"team": "post"}, "What grows here.")
    assert not model.latest_versions
    source = await stage.source()
    made = await stage.ask(
        lambda client: client.create_model_version(
            NAME, source, run_id="run-1", tags={"a": "1"}, run_link="https://runs.example/1", description="The first."
        )
    )
    read = await stage.ask(lambda client: client.get_model_version(NAME, "1"))
    assert dict(read) == dict(made)
    assert (read.version, read.source, read.run_id, read.status) == ("1", source, "run-1", "READY")
    assert (read.tags, read.description, read.run_link) == ({"a": "1"}, "The first.", "https://runs.example/1")
    assert (read.current_stage, read.user_id, read.aliases) == ("None", "ada", [])
    version = stage.http.registry.state(NAME).versions["v1"]
    assert version.run_id == "run-1"
    assert version.provenance.created_by == "ada"
    assert version.provenance.environment == {"mlflow.source": source, "mlflow.run_link": "https://runs.example/1"}


async def test_tags_and_descriptions_are_set_and_removed(stage: MlflowStage) -> None:
    number = await stage.version(tags={"a": "1"})
    await stage.ask(lambda client: client.set_registered_model_tag(NAME, "team", "garden"))
    await stage.ask(lambda client: client.set_model_version_tag(NAME, number, "b", "2"))
    await stage.ask(lambda client: client.delete_model_version_tag(NAME, number, "a"))
    await stage.ask(lambda client: client.update_model_version(NAME, number, "Looked at."))
    await stage.ask(lambda client: client.update_registered_model(NAME, "Other words."))
    version = await stage.ask(lambda client: client.get_model_version(NAME, number))
    assert (version.tags, version.description) == ({"b": "2"}, "Looked at.")
    model = await stage.ask(lambda client: client.get_registered_model(NAME))
    assert (model.tags, model.description) == ({"team": "garden"}, "Other words.")
    await stage.ask(lambda client: client.delete_registered_model_tag(NAME, "team"))
    await stage.ask(lambda client: client.update_registered_model(NAME, ""))
    model = await stage.ask(lambda client: client.get_registered_model(NAME))
    assert (model.tags, model.description) == ({}, "")


async def test_the_alias_of_production_promotes_through_the_gates(stage: MlflowStage) -> None:
    number = await stage.version()
    with pytest.raises(MlflowException, match=r"INVALID_STATE: 'v1' of 'flowers' has not been validated; legal: "):
        await stage.ask(lambda client: client.set_registered_model_alias(NAME, "champion", number))
    assert stage.http.registry.state(NAME).active_version is None
    number = await stage.passed()
    await stage.ask(lambda client: client.set_registered_model_alias(NAME, "champion", number))
    assert stage.http.registry.state(NAME).active_version == "v2"
    await stage.ask(lambda client: client.set_registered_model_alias(NAME, "champion", number))
    found = await stage.ask(lambda client: client.get_model_version_by_alias(NAME, "champion"))
    assert (found.version, found.current_stage, found.aliases) == ("2", "Production", ["champion"])
    query = {"model_name": NAME, "type": "promoted"}
    listed = await stage.http.client.get("/api/events", params=query, headers={"X-API-Key": KEYS["ada"]})
    events = [entry["event"] for entry in listed.json()["events"]]
    assert [(event["actor"], event.get("reason")) for event in events] == [("ada", None)]
    with pytest.raises(MlflowException, match="cannot be taken away: set it to another version"):
        await stage.ask(lambda client: client.delete_registered_model_alias(NAME, "champion"))
    # What is in production is what it points at, whoever put it there.
    other = await stage.passed()
    await stage.ask(lambda client: client.transition_model_version_stage(NAME, other, "Production", True))
    model = await stage.ask(lambda client: client.get_registered_model(NAME))
    assert model.aliases == {"champion": "3"}
    stages = {version.version: version.current_stage for version in model.latest_versions}
    assert stages == {"1": "None", "2": "Archived", "3": "Production"}


async def test_other_aliases_only_point(stage: MlflowStage) -> None:
    one, other = await stage.version(), await stage.version()
    await stage.ask(lambda client: client.set_registered_model_alias(NAME, "blue", one))
    await stage.ask(lambda client: client.set_registered_model_alias(NAME, "blue", other))
    assert (await stage.ask(lambda client: client.get_model_version_by_alias(NAME, "blue"))).version == other
    await stage.ask(lambda client: client.delete_registered_model_alias(NAME, "blue"))
    await stage.ask(lambda client: client.delete_registered_model_alias(NAME, "blue"))
    with pytest.raises(
        MlflowException, match="RESOURCE_DOES_NOT_EXIST: 'flowers' has no alias 'blue'; it has none yet"
    ):
        await stage.ask(lambda client: client.get_model_version_by_alias(NAME, "blue"))
    assert stage.http.registry.state(NAME).active_version is None


async def test_stages_are_steps(stage: MlflowStage) -> None:
    number = await stage.version()

    async def go(to: str, archive: bool = False) -> str:
        moved = await stage.ask(lambda client: client.transition_model_version_stage(NAME, number, to, archive))
        return str(moved.current_stage)

    assert await go("staging") == "Staging"
    latest = await stage.ask(lambda client: client.get_latest_versions(NAME, ["Staging"]))
    assert [version.version for version in latest] == [number]
    assert [version.version for version in await stage.ask(lambda client: client.get_latest_versions(NAME))] == [number]
    with pytest.raises(MlflowException, match=r"INVALID_STATE: .*has not been validated"):
        await go("Production")
    with pytest.raises(MlflowException, match="cannot go to stage 'None': Staging, Production and Archived are there"):
        await go("None")
    with pytest.raises(MlflowException, match="archive versions one by one"):
        await go("Staging", True)
    assert await go("Archived") == "Archived"
    with pytest.raises(MlflowException, match=r"is none of None, Staging, Production, Archived.*models:/flowers/1"):
        await stage.ask(lambda client: client.get_latest_versions(NAME, ["v1"]))


async def test_searches_find_by_name_run_and_tags_in_pages(stage: MlflowStage) -> None:
    await stage.ask(lambda client: client.create_registered_model("trees"))
    for number in range(3):
        await stage.version(run_id=f"run-{number}", tags={"even": str(number % 2 == 0)})

    async def found(text: str | None, order_by: list[str] | None = None) -> list[str]:
        page = await stage.ask(lambda client: client.search_model_versions(text, order_by=order_by))
        return [version.version for version in page]

    assert await found("name='flowers'") == ["3", "2", "1"]
    assert await found("name = 'flowers' and run_id = 'run-1'") == ["2"]
    assert await found("tags.even = \"True\" AND name != 'trees'", order_by=["version_number ASC"]) == ["1", "3"]
    assert await found("name = 'trees'") == []
    assert await found("name = 'nothing'") == []
    first = await stage.ask(lambda client: client.search_model_versions(max_results=2))
    rest = await stage.ask(lambda client: client.search_model_versions(max_results=2, page_token=first.token))
    assert ([one.version for one in (*first, *rest)], rest.token) == (["3", "2", "1"], "")
    models = await stage.ask(lambda client: client.search_registered_models())
    assert [(model.name, len(model.latest_versions)) for model in models] == [("flowers", 1), ("trees", 0)]
    models = await stage.ask(lambda client: client.search_registered_models("tags.team = 'post'"))
    assert [model.name for model in models] == ["flowers"]
    page = await stage.ask(lambda client: client.search_registered_models(max_results=1, order_by=["name DESC"]))
    assert ([model.name for model in page], page.token) == (["trees"], "1")


@pytest.mark.parametrize(
    "text", ["name LIKE 'f%'", "name = flowers", "source_path = 'x'", "name = 'a' OR name = 'b'", "name='a' AND", "x"]
)
async def test_other_filters_are_refused_in_words(stage: MlflowStage, text: str) -> None:
    with pytest.raises(
        MlflowException, match=r"INVALID_PARAMETER_VALUE: filter .* cannot be read: at most 16 conditions"
    ):
        await stage.ask(lambda client: client.search_model_versions(text))
    with pytest.raises(MlflowException, match="order_by 'run_id' cannot be read: name, last_updated_timestamp"):
        await stage.ask(lambda client: client.search_registered_models(order_by=["run_id"]))
    with pytest.raises(MlflowException, match="page_token 'none' is none"):
        await stage.ask(lambda client: client.search_registered_models(page_token="none"))  # noqa: S106


async def test_a_version_of_this_registry_is_a_source(stage: MlflowStage) -> None:
    number = await stage.version(tags={"a": "1"})
    await stage.ask(lambda client: client.copy_model_version(f"models:/{NAME}/{number}", "trees"))
    states = stage.http.registry.fold.streams
    assert states["trees"].state.versions["v1"].artifact == states[NAME].state.versions["v1"].artifact
