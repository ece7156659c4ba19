"""`hotswap-stream publish`: straight to the store of the environment, or over HTTP with a key."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from hotswap_stream.settings import Settings
from tests.support.samples.graphs import linear, with_operator, with_weights_beside
from tests.support.samples.processors import need_bf16
from tests.support.stages.asking import running_api
from tests.support.stages.command_line import Cli, read_json
from tests.support.stages.serving import stage_settings

KEY = "a-key-for-the-tests"


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    file = tmp_path / "model.onnx"
    file.write_bytes(linear())
    return file


def test_it_goes_straight_to_the_store_where_no_api_is_named(cli: Cli, graph: Path, tmp_path: Path) -> None:
    published = read_json(
        cli("publish", "sums", str(graph), "--label", "a", "--label", "b", "--metric", "accuracy=0.9", "--json")
    )
    assert (published["model_version"], published["status"]) == ("v1", "registered")
    (version,) = read_json(cli("versions", "sums", "--json"))
    assert version["artifact"]["digest"] == published["artifact_digest"]
    assert version["metrics"] == {"accuracy": 0.9}
    assert version["tags"]["framework"] == "onnx"

    (tmp_path / "weights.bin").write_bytes(np.ones((4, 2), np.float32).tobytes())
    graph.write_bytes(with_weights_beside("weights.bin"))
    np.savez(tmp_path / "rows.npz", x=np.ones((3, 4)))
    words = tmp_path / "words.json"
    words.write_text('["some", "words"]')
    options = ("--example", str(tmp_path / "rows.npz"), "--version", "big", "--beside", str(words))
    assert "sums big: registered" in cli("publish", "sums", str(graph), *options).output
    cli("export", "sums", "big", str(tmp_path / "out"))
    for file in (words, graph, tmp_path / "weights.bin"):
        assert (tmp_path / "out" / file.name).read_bytes() == file.read_bytes()


def test_what_is_wrong_is_said_and_nothing_is_registered(cli: Cli, graph: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.npy"
    np.save(rows, np.ones((3, 5)))
    assert "does not take the example" in cli("publish", "sums", str(graph), "--example", str(rows), code=1).output
    rows.write_text("no array")
    assert "holds no arrays" in cli("publish", "sums", str(graph), "--example", str(rows), code=1).output
    assert "is not INPUT=SHAPE" in cli("publish", "sums", str(graph), "--warm-up", "x", code=2).output
    graph.write_bytes(with_operator("Foo"))
    assert "Foo" in cli("publish", "sums", str(graph), code=1).output
    graph.write_bytes(b"\x80\x05.")
    assert "pickle" in cli("publish", "sums", str(graph), "--trust-file", code=1).output
    assert read_json(cli("models", "--json")) == []


def test_how_it_is_to_be_computed_is_a_part_of_the_version(cli: Cli, graph: Path) -> None:
    wrong = cli("publish", "sums", str(graph), "--executor", "eager", code=3).output
    assert "'eager' does not compute artifacts of kind 'onnx'" in wrong
    need_bf16()
    plain, lower = (
        read_json(cli("publish", "sums", str(graph), "--json", *options)) for options in ((), ("--precision", "bf16"))
    )
    assert plain["artifact_digest"] == lower["artifact_digest"]
    versions = read_json(cli("versions", "sums", "--json"))
    assert [version.get("options") for version in versions] == [{"precision": "bf16"}, None]


def test_a_name_that_is_taken_is_refused(cli: Cli, graph: Path) -> None:
    cli("publish", "sums", str(graph), "--version", "one")
    assert "duplicate-version" in cli("publish", "sums", str(graph), "--version", "one", code=3).output


async def test_it_goes_over_http_with_a_key(
    cli: Cli, graph: Path, kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings: Settings = replace(
        stage_settings(kafka, topic_prefix, tmp_path / "home"), api_port=0, api_open=None, api_keys=f"ada:{KEY}"
    )

    def publish(*options: str, **wishes: Any) -> Any:
        return cli("publish", "sums", str(graph), *options, **wishes)

    async with running_api(settings) as url:
        refused = await asyncio.to_thread(publish, "--url", url, code=4)
        assert "401" in refused.output
        named = await asyncio.to_thread(publish, "--url", url, "--api-key", KEY, "--json")
        assert read_json(named)["model_version"] == "v1"
        set_up = await asyncio.to_thread(publish, "--json", HOTSWAP_API_URL=url, HOTSWAP_API_KEY=KEY)
        assert read_json(set_up)["model_version"] == "v2"
        openvino = ("--executor", "openvino", "--json")
        await asyncio.to_thread(publish, *openvino, "--url", url, "--api-key", KEY)
        versions = read_json(await asyncio.to_thread(cli, "versions", "sums", "--json"))
        assert {version["provenance"]["created_by"] for version in versions} == {"ada"}
        assert versions[0].get("options") == {"executor": "openvino"}
        assert len({version["artifact"]["digest"] for version in versions}) == 1
    unreachable = await asyncio.to_thread(publish, "--url", url, code=1)
    assert f"the API at {url} cannot be reached" in unreachable.output
