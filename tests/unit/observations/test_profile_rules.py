"""Which profiles of training data may be recorded, and that no bytes reach the library which it did not write."""

import base64
from random import Random
from struct import pack_into
from typing import Any

import numpy as np
import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from hotswap_events.registry.profile import PROFILE_SKETCH_CHARACTERS_MAX
from hotswap_stream.application.observations.sketch import Sketch
from hotswap_stream.domain.evolve import IllegalEventError, evolve
from hotswap_stream.domain.versions.sketch_bytes import CHARACTERS_MAX, wrong_sketch
from tests.support.decider_specification import given, state_after
from tests.support.samples.profiles import INPUT, SCORE, profile, profiled, sketch_of
from tests.support.samples.registry import archived, in_envelope, trained
from tests.support.samples.rollouts import artifact_deleted

SIZES = (0, 1, 2, 3, 127, 128, 129, 1_000, 100_000)


class TestProfileVersion:
    def test_is_recorded_for_any_version(self) -> None:
        given(trained("v1")).when(profile("v1")).then(profiled("v1"))
        given(trained("v1"), archived("v1")).when(profile("v1")).then(profiled("v1"))

    def test_the_same_again_changes_nothing(self) -> None:
        given(trained("v1"), profiled("v1")).when(profile("v1")).then_nothing("'v1' has this profile already")

    def test_another_one_replaces_it(self) -> None:
        given(trained("v1"), profiled("v1")).when(profile("v1", rows=9)).then(profiled("v1", rows=9))

    def test_unknown_version(self) -> None:
        given(trained("v1")).when(profile("v2")).then_refused("unknown-version", legal=("v1",))

    def test_a_version_without_artifact(self) -> None:
        deleted = (trained("v1"), archived("v1"), artifact_deleted("v1"))
        given(*deleted).when(profile("v1")).then_refused("illegal-step", "has lost its artifact")

    @pytest.mark.parametrize(
        ("wrong", "words"),
        [
            ({"rows": 0}, ("rows is 0", "1 row or more")),
            ({"rows": 2**53 + 1}, ("rows",)),
            ({"source": ""}, ("source has 0 characters",)),
            ({"source": "x" * 501}, ("source has 501 characters",)),
            ({"sketches": {}}, ("0 sketches", "1 to 8")),
            ({"sketches": {f"input.{index}": INPUT for index in range(9)}}, ("9 sketches",)),
            ({"sketches": {"inputs": INPUT}}, ("'inputs' is not known",)),
            ({"sketches": {"input.01": INPUT}}, ("'input.01' is not known",)),
            ({"sketches": {"score\n": INPUT}}, ("is not known",)),
            ({"sketches": {"score": "x" * (PROFILE_SKETCH_CHARACTERS_MAX + 1)}}, ("8193 characters",)),
            ({"sketches": {"score": "§"}}, ("'score' is not a KLL sketch of floats", "base64")),
            ({"sketches": {"score": "AAAA"}}, ("3 bytes",)),
        ],
    )
    def test_what_cannot_be_recorded(self, wrong: dict[str, Any], words: tuple[str, ...]) -> None:
        given(trained("v1")).when(profile("v1", **wrong)).then_refused("invalid-value", *words)


class TestEvolve:
    def test_the_last_one_holds(self) -> None:
        state = state_after(trained("v1"), profiled("v1"), profiled("v1", rows=7))
        assert state.versions["v1"].profile == profiled("v1", rows=7)
        assert state.copy().versions["v1"].profile is state.versions["v1"].profile

    def test_it_goes_with_the_artifact(self) -> None:
        assert (
            state_after(trained("v1"), profiled("v1"), archived("v1"), artifact_deleted("v1")).versions["v1"].profile
            is None
        )

    def test_a_contradiction_is_void(self) -> None:
        with pytest.raises(IllegalEventError):
            evolve(state_after(trained("v1")), in_envelope(profiled("v2"), sequence=2))
        deleted = state_after(trained("v1"), archived("v1"), artifact_deleted("v1"))
        with pytest.raises(IllegalEventError):
            evolve(deleted, in_envelope(profiled("v1"), sequence=4))


class TestWrongSketch:
    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("merged_with", SIZES)
    def test_what_the_library_writes_passes(self, size: int, merged_with: int) -> None:
        values = np.random.default_rng(1).normal(size=size + merged_with).tolist()
        sketch = Sketch(sketch_of(values[:size]))
        sketch.merge(sketch_of(values[size:]))
        assert wrong_sketch(sketch.encoded()) is None
        assert Sketch(sketch.encoded()).count == size + merged_with

    @pytest.mark.parametrize(
        ("at", "layout", "value", "words"),
        [
            (2, "<B", 14, "family 14"),
            (4, "<H", 60_000, "k 60000"),
            (0, "<B", 2, "preamble"),
            (3, "<B", 1, "preamble"),
            (8, "<Q", 999, "do not add up"),
            (8, "<Q", 2**63, "at most"),
            (18, "<B", 200, "200 levels"),
            (20, "<I", 2**32 - 1, "do not add up"),
            (-4, "<f", float("nan"), "not finite"),
            (-4, "<f", 1e30, "between the least and the largest"),
            (-4, "<f", -1.0, "do not rise"),
        ],
    )
    def test_fields_that_do_not_go_together(self, at: int, layout: str, value: float, words: str) -> None:
        content = bytearray(base64.b64decode(sketch_of([number / 1_000 for number in range(1_000)])))
        pack_into(layout, content, at % len(content), value)
        encoded = base64.b64encode(content).decode()
        assert words in (wrong_sketch(encoded) or "")
        with pytest.raises(ValueError, match="not a KLL sketch of floats"):
            Sketch(encoded)

    @pytest.mark.parametrize(("length", "words"), [(10, "in its preamble"), (24, "in its levels"), (60, "need")])
    def test_a_sketch_that_is_cut_off(self, length: int, words: str) -> None:
        content = base64.b64decode(sketch_of([number / 1_000 for number in range(1_000)]))[:length]
        assert words in (wrong_sketch(base64.b64encode(content).decode()) or "")

    def test_the_least_value_is_not_above_the_largest_and_a_text_has_an_end(self) -> None:
        content = bytearray(base64.b64decode(sketch_of([1.0, 2.0])))
        pack_into("<f", content, 24, 3.0)
        assert "least and largest" in (wrong_sketch(base64.b64encode(content).decode()) or "")
        assert f"at most {CHARACTERS_MAX}" in (wrong_sketch("A" * (CHARACTERS_MAX + 1)) or "")

    @for_all(st.integers(0, 2**32), st.sampled_from((INPUT, SCORE, sketch_of(range(5_000)), sketch_of([1.0]))))
    def test_bytes_changed_anywhere_are_refused_or_still_a_sketch(self, seed: int, encoded: str) -> None:
        random, content = Random(seed), bytearray(base64.b64decode(encoded))
        for _change in range(random.randrange(1, 4)):
            position = random.randrange(min(len(content), random.choice((40, len(content)))))
            content[position] = random.choice((random.randrange(256), (content[position] + 1) % 256))
        end = random.choice((None, None, random.randrange(len(content))))
        changed = base64.b64encode(content[:end]).decode()
        if wrong_sketch(changed) is None:
            sketch = Sketch(changed)
            sketch.merge(SCORE)
            assert 0 < sketch.rank_error < 1
            assert np.isfinite(sketch.points()).all()
            assert wrong_sketch(sketch.encoded()) is None

    @for_all(st.text(max_size=100) | st.binary(max_size=100).map(lambda found: base64.b64encode(found).decode()))
    def test_any_text_gets_an_answer(self, text: str) -> None:
        assert wrong_sketch(text) is None or wrong_sketch(text)
