"""The labelled set that versions of a model are measured on: an artifact of its own, named by its digest."""

from typing import Annotated

from msgspec import Meta, Struct

ROWS_MAX = 2**40


class ValidationSet(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A set that lies in the artifact store."""

    artifact_digest: Annotated[str, Meta(extra_json_schema={"pattern": "^sha256:[0-9a-f]{64}$"})]
    size_bytes: Annotated[int, Meta(ge=1)]
    kind: Annotated[str, Meta(min_length=1, max_length=64)]
    """What is measured on it: `classification`, `regression`, `forecasting`, `ranking`, or the name of an installed
    evaluator."""
    rows: Annotated[int, Meta(ge=1, le=ROWS_MAX)]
    """Labelled rows."""
    source: Annotated[str, Meta(max_length=512)] | None = None
    """Where it comes from, in free text: the name of the file it was read from."""


class ValidationSetChosen(Struct, frozen=True, kw_only=True, gc=False):
    """Versions of this model are measured on this set from here on. Verdicts drawn before keep theirs."""

    validation_set: ValidationSet
