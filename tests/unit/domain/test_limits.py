"""Limits at their edges; a message says what was wrong and what would be right."""

import pytest

from hotswap_events.registry.events import ArtifactFacts, Provenance
from hotswap_stream.domain.deciding import limits


@pytest.mark.parametrize("name", ["a", "A", "0", "digits", "digits-2_b", "a" * 63])
def test_model_names(name: str) -> None:
    assert limits.wrong_model_name(name) is None


@pytest.mark.parametrize("name", ["v1", "1.0.0", "2024-01-01", "a+b", "A_b.c", "v" * 63])
def test_version_names(name: str) -> None:
    assert limits.wrong_version_name(name) is None


@pytest.mark.parametrize("name", ["", "_a", "a.b", "a" * 64, "naïve", "a\n", "\n", "a\x00"])
def test_wrong_model_names(name: str) -> None:
    assert "at most 63 characters" in (limits.wrong_model_name(name) or "")


@pytest.mark.parametrize("name", ["", "..", ".a", "-a", "a/b", "v" * 64, "v1\n"])
def test_wrong_version_names(name: str) -> None:
    assert "at most 63 characters" in (limits.wrong_version_name(name) or "")


def test_a_long_name_is_not_repeated_in_full() -> None:
    assert len(limits.wrong_model_name("x" * 100_000) or "") < 400
    assert len(limits.wrong_version_name("x" * 100_000) or "") < 400
    assert len(limits.wrong_artifact(ArtifactFacts(digest="x" * 100_000, size_bytes=1)) or "") < 400


def test_digests() -> None:
    assert limits.wrong_artifact(ArtifactFacts(digest=f"sha256:{'0af' * 21}0", size_bytes=1)) is None
    assert limits.wrong_artifact(ArtifactFacts(digest=f"sha256:{'0af' * 21}0\n", size_bytes=1)) is not None


def test_counts_and_lengths_at_their_edges() -> None:
    assert limits.wrong_figures("figures", {str(number): 0.0 for number in range(64)}) is None
    assert limits.wrong_figures("figures", {"k" * 128: -1e300}) is None
    assert limits.wrong_figures("figures", {"k" * 129: 0.0}) is not None
    assert limits.wrong_labels("tags", {"k" * 128: "v" * 1_024}) is None
    assert limits.wrong_labels("tags", {"k": "v" * 1_025}) is not None
    assert limits.wrong_labels("tags", {"": "v"}) is not None
    assert limits.wrong_texts("what", {"a": None, "b": "x" * 512}) is None
    assert limits.wrong_texts("what", {"a": None, "b": "x" * 513}) == (
        "what.b has 513 characters; at most 512 are allowed"
    )


def test_provenance() -> None:
    assert limits.wrong_provenance(Provenance(origin="trained", created_by="a" * 512)) is None
    assert "image" in (limits.wrong_provenance(Provenance(origin="trained", created_by="a", image="i" * 513)) or "")
    crowded = Provenance(origin="trained", created_by="a", environment={str(number): "" for number in range(65)})
    assert "provenance.environment" in (limits.wrong_provenance(crowded) or "")
