"""Lists that come in pages: each page names the next one in its header, until there is none."""

from pathlib import Path

from hotswap_stream.api.app import openapi_document
from hotswap_stream.api.protocol.document import WITH_LINK
from tests.support.samples.registry import register
from tests.support.stages.http import MODEL, HttpStage, NewLog, open_http_stage

CURSORS = {"after_name", "after_key", "before_sequence", "from_offset"}


async def walked(api: HttpStage, path: str, listed: str, name: str, **query: str | int) -> list[str]:
    """Follow the links from a first page on; the names on each, in order."""
    found: list[str] = []
    answer = await api.get(path, **query)
    for _page in range(20):
        assert answer.status_code == 200, answer.text
        found += [each[name] for each in answer.json()[listed]]
        if "link" not in answer.headers:
            return found
        following = answer.links["next"]["url"]
        assert all(f"{key}={value}" in following for key, value in query.items()), "it asks for the same"
        answer = await api.get(following)
    raise AssertionError("there is no end")


async def test_every_list_names_its_next_page(new_log: NewLog, tmp_path: Path) -> None:
    async with open_http_stage(new_log(), tmp_path) as stage:
        names = [f"m{number:03}" for number in range(103)]
        for name in names:
            await stage.registry.handle(register("v1", model_name=name, command_id=name))
        for version in ("v2", "v3", "v4"):
            await stage.registry.handle(register(version, model_name="m000", command_id=version))
        assert await walked(stage, "/api/models", "models", "model_name") == names
        assert await walked(stage, "/api/models", "models", "model_name", limit=50) == names
        past = await walked(stage, "/api/models", "models", "model_name", limit=2, as_of_offset=4)
        assert past == names[:5]
        exact = await stage.get("/api/models", limit=103)
        assert "link" not in exact.headers
        path = "/api/models/m000/versions"
        assert await walked(stage, path, "versions", "model_version", limit=1) == ["v4", "v3", "v2", "v1"]
        assert await walked(stage, path, "versions", "model_version", limit=3, stage="archived") == []
        assert len(await walked(stage, "/api/events", "events", "offset", limit=40)) == 106


def test_every_query_with_a_place_to_go_on_from_says_so_in_the_document() -> None:
    assert MODEL
    paged = {
        operation["operationId"]
        for item in openapi_document()["paths"].values()
        for method, operation in item.items()
        if method == "get"
        and {each["name"] for each in operation.get("parameters", ())} & CURSORS
        and "text/event-stream" not in operation["responses"]["200"]["content"]
    }
    assert paged == WITH_LINK
    for item in openapi_document()["paths"].values():
        for operation in item.values():
            if operation["operationId"] in WITH_LINK:
                assert "Link" in operation["responses"]["200"]["headers"]
