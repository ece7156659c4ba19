"""Arguments and options that several commands take."""

import getpass
import os
import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hotswap_stream.cli.terminal.completion import complete_models, complete_versions

if TYPE_CHECKING:
    from hotswap_stream.application.artifacts.manifest import Shape

_SEAL = re.compile(r"[0-9a-f]{64}")

ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="Name of the model.", autocompletion=complete_models)
]
VersionArgument = Annotated[
    str,
    typer.Argument(metavar="VERSION", help="Name of the version, such as v3.", autocompletion=complete_versions),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON: the same as -o json.")]
Reason = Annotated[str | None, typer.Option(help="The reason; it is kept in the log.", show_default=False)]
ExpectedSequence = Annotated[
    int | None,
    typer.Option(help="Refuse unless this is the sequence of the model's last event.", min=0, show_default=False),
]
CommandId = Annotated[
    str | None,
    typer.Option(help="A command with the same id never applies twice. Default: a fresh id.", show_default=False),
]
OneByOne = Annotated[
    bool | None,
    typer.Option(
        "--one-by-one/--in-batches",
        help="Compute requests one by one, or rows of several together. Default: found out by trying.",
        show_default=False,
    ),
]
AllowSignatureChange = Annotated[
    bool,
    typer.Option(
        "--allow-signature-change",
        help="Even if inputs or outputs differ from the active version's, so that its users' requests would break.",
    ),
]
StageName = Literal["none", "staging", "production", "superseded", "archived"]
Stage = Annotated[
    StageName | None, typer.Option("--stage", "--status", help="Show only this stage.", show_default=False)
]


def os_user() -> str:
    """Return the name of the user of this process; `uid-<n>` where the system has no name for it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"


Actor = Annotated[
    str,
    typer.Option(
        help="Who asks; it is kept in the log. Default: the user of this system.",
        default_factory=os_user,
        show_default=False,
    ),
]


def parse_as_of(text: str) -> int | datetime:
    """Return an offset, or a time with time zone. typer.BadParameter for anything else."""
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is neither an offset nor a time such as 2026-01-31T12:00:00Z") from None
    if time.tzinfo is None:
        raise typer.BadParameter(f"{text!r} has no time zone; put Z or +01:00 after it")
    return time


AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        metavar="OFFSET|TIME",
        help="Show the registry as it was after this offset of the log, or at this time (RFC 3339).",
        show_default=False,
    ),
]


def parse_pairs(pairs: list[str], *, option: str) -> dict[str, str]:
    """Return `key=value` texts as a dictionary. typer.BadParameter for one without '='."""
    parsed: dict[str, str] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise typer.BadParameter(f"{pair!r} is not key=value", param_hint=option)
        parsed[key] = value
    return parsed


def parse_figures(pairs: list[str], *, option: str) -> dict[str, float]:
    """Return `key=number` texts as a dictionary. typer.BadParameter for one that is not."""
    figures: dict[str, float] = {}
    for key, value in parse_pairs(pairs, option=option).items():
        try:
            figures[key] = float(value)
        except ValueError:
            raise typer.BadParameter(f"{value!r} of {key!r} is not a number", param_hint=option) from None
    return figures


def parse_shapes(texts: list[str]) -> "dict[str, Shape]":
    """Return `INPUT=SHAPE` texts as a dictionary. typer.BadParameter for one that is none."""
    from hotswap_stream.application.artifacts import trial

    try:
        return trial.parse_shapes(texts)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--warm-up") from error


def batching_of(one_by_one: bool | None) -> Literal["rows", "request"] | None:
    """Return how a graph's requests are computed; None: found out."""
    if one_by_one is None:
        return None
    return "request" if one_by_one else "rows"


def parse_seal(text: str | None) -> str | None:
    """Return a seal as it was typed. BadParameter for what is none."""
    if text is not None and not _SEAL.fullmatch(text):
        raise typer.BadParameter(f"{text!r} is not a seal of 64 hexadecimal digits", param_hint="--expect-seal")
    return text
