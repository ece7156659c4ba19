"""`versions` and `compare`: the versions of a model."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from hotswap_stream.cli.planes import questions
from hotswap_stream.cli.terminal.options import AsJson, AsOf, ModelArgument, Stage
from hotswap_stream.cli.terminal.printing import print_json, print_table
from hotswap_stream.cli.terminal.queries import ask

if TYPE_CHECKING:
    from hotswap_events.registry.state import RegistryVersion

DIGEST_CHARACTERS_SHOWN = 19
"""`sha256:` and 12 digits; --json shows the whole digest."""


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("versions")(versions)
    app.command("compare")(compare)


def versions(model: ModelArgument, stage: Stage = None, as_of: AsOf = None, as_json: AsJson = False) -> None:
    """List the versions of a model, newest first."""
    found = ask(questions.versions(model, stage), as_of=as_of, as_json=as_json)
    if as_json:
        print_json(found)
    else:
        print_versions(found)


def compare(
    model: ModelArgument,
    left: Annotated[str, typer.Argument(metavar="LEFT", help="One version.")],
    right: Annotated[str, typer.Argument(metavar="RIGHT", help="The other version.")],
    as_of: AsOf = None,
    as_json: AsJson = False,
) -> None:
    """Compare two versions figure by figure; differences are right minus left."""
    comparison = ask(questions.comparison(model, left, right), as_of=as_of, as_json=as_json)
    if as_json:
        print_json(comparison)
        return
    for title, figures in (("training", comparison.metrics), ("validation", comparison.validation_figures)):
        if figures:
            print_table(
                ("figure", left, right, "difference"),
                ((figure.name, figure.left, figure.right, figure.difference) for figure in figures),
                title=title,
            )
    if comparison.validation_figures and not comparison.same_validation_set:
        typer.secho("The validation sets differ: those figures do not compare.", fg="yellow")
    print_versions((comparison.left, comparison.right))


def print_versions(found: "Iterable[RegistryVersion]") -> None:
    """Print versions as a table."""
    from hotswap_stream.domain.versions.options import options_text

    print_table(
        (
            "version",
            "stage",
            "verdict",
            "accuracy",
            "deployed",
            "promotions",
            "artifact",
            "bytes",
            "computed by",
            "created by",
            "tags",
        ),
        (
            (
                version.model_version,
                version.stage,
                version.verdict,
                None if version.validation is None else version.validation.figures.get("accuracy"),
                None if version.deployed_at is None else f"{version.deployed_at:%Y-%m-%d %H:%M:%S}Z",
                version.promotions_total,
                version.artifact.digest[:DIGEST_CHARACTERS_SHOWN],
                version.artifact.size_bytes,
                None if version.options is None else options_text(version.options),
                None if version.provenance is None else version.provenance.created_by,
                version.tags,
            )
            for version in found
        ),
        optional=("bytes", "computed by", "created by", "promotions", "tags", "artifact", "deployed"),
    )
