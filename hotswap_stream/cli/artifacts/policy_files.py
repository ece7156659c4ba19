"""Validation policies as files."""

from pathlib import Path
from typing import TYPE_CHECKING

from hotswap_stream.cli.terminal.documents import converted, read_document

if TYPE_CHECKING:
    from hotswap_events.validation.policy import ValidationPolicy


def validation_policy_of(file: Path) -> "ValidationPolicy":
    """Return the validation policy of a file. typer.BadParameter for a file that is none."""
    from hotswap_events.validation.policy import ValidationPolicy

    document = read_document(file, {"pass_margin", "fail_margin", "first_accuracy_min", "gates"})
    policy: ValidationPolicy = converted(document, ValidationPolicy, where=str(file))
    return policy
