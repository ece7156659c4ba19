"""Limits on what a command may carry, and the check of names. A message says what was wrong and what would be right."""

import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from hotswap_events.inference.signature import ModelSignature
from hotswap_events.registry.events import ArtifactFacts, ArtifactTrial, Provenance

NAME_CHARACTERS_MAX = 63
LABELS_MAX = 64
LABEL_KEY_CHARACTERS_MAX = 128
LABEL_VALUE_CHARACTERS_MAX = 1_024
TEXT_CHARACTERS_MAX = 512
DETAIL_CHARACTERS_MAX = 8_000

_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_VERSION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,62}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def wrong_shape(value: Any, wanted: Any) -> str | None:
    """Return why a value breaks the limits its type declares, or None: what was built in code was never checked."""
    try:
        msgspec.convert(msgspec.to_builtins(value), wanted)
    except msgspec.ValidationError as error:
        return str(error)
    return None


def wrong_model_name(model_name: str) -> str | None:
    """Return why the name cannot be a model's, or None. No dots: the name becomes part of two topic names."""
    if _MODEL_NAME.fullmatch(model_name):
        return None
    return (
        f"model name {model_name[:100]!r} is not valid: letters, digits, '_' and '-', starting with a letter or digit, "
        f"at most {NAME_CHARACTERS_MAX} characters"
    )


def wrong_version_name(model_version: str) -> str | None:
    """Return why the name cannot be a version's, or None."""
    if _VERSION_NAME.fullmatch(model_version):
        return None
    return (
        f"version name {model_version[:100]!r} is not valid: letters, digits, '.', '_', '+' and '-', starting with a "
        f"letter or digit, at most {NAME_CHARACTERS_MAX} characters"
    )


def wrong_artifact(artifact: ArtifactFacts) -> str | None:
    """Return why the artifact cannot be one, or None."""
    wrong = None if artifact.signature is None else wrong_shape(artifact.signature, ModelSignature)
    return wrong_digest(artifact.digest) or (wrong and f"the artifact's signature is not valid: {wrong}")


def wrong_digest(digest: str) -> str | None:
    """Return why this cannot be the digest of an artifact, or None."""
    if _DIGEST.fullmatch(digest):
        return None
    return f"artifact digest {digest[:100]!r} is not valid: 'sha256:' and 64 lower-case hex digits"


def wrong_figures(what: str, figures: Mapping[str, float]) -> str | None:
    """Return why the figures cannot be stored, or None. JSON has no NaN and no infinity."""
    if len(figures) > LABELS_MAX:
        return f"{what} has {len(figures)} entries; at most {LABELS_MAX} are kept"
    for key, value in figures.items():
        if not 0 < len(key) <= LABEL_KEY_CHARACTERS_MAX:
            return f"{what} has a key of {len(key)} characters; 1 to {LABEL_KEY_CHARACTERS_MAX} are allowed"
        if not math.isfinite(value):
            return f"{what}[{key!r}] is {value}; a finite number is needed"
    return None


def wrong_trial(trial: ArtifactTrial | None) -> str | None:
    """Return why the figures of a trial cannot be stored, or None."""
    if trial is None:
        return None
    return wrong_texts("trial", {"executor": trial.executor}) or wrong_figures(
        "trial", {"load_ms": trial.load_ms, "first_ms": trial.first_ms, "warm_ms": trial.warm_ms}
    )


def wrong_labels(what: str, labels: Mapping[str, str]) -> str | None:
    """Return why the labels cannot be stored, or None."""
    if len(labels) > LABELS_MAX:
        return f"{what} has {len(labels)} entries; at most {LABELS_MAX} are kept"
    for key, value in labels.items():
        if not 0 < len(key) <= LABEL_KEY_CHARACTERS_MAX:
            return f"{what} has a key of {len(key)} characters; 1 to {LABEL_KEY_CHARACTERS_MAX} are allowed"
        if len(value) > LABEL_VALUE_CHARACTERS_MAX:
            return f"{what}[{key!r}] has {len(value)} characters; at most {LABEL_VALUE_CHARACTERS_MAX} are allowed"
    return None


def wrong_texts(what: str, texts: Mapping[str, str | None]) -> str | None:
    """Return why one of several short texts cannot be stored, or None."""
    for key, value in texts.items():
        if value is not None and len(value) > TEXT_CHARACTERS_MAX:
            return f"{what}.{key} has {len(value)} characters; at most {TEXT_CHARACTERS_MAX} are allowed"
    return None


def wrong_provenance(provenance: Provenance) -> str | None:
    """Return why the provenance cannot be stored, or None."""
    return wrong_texts(
        "provenance",
        {
            "created_by": provenance.created_by,
            "code_revision": provenance.code_revision,
            "data_snapshot": provenance.data_snapshot,
            "image": provenance.image,
        },
    ) or wrong_labels("provenance.environment", provenance.environment)
