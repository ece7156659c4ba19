"""Options of the commands that bring a version: what a graph cannot say, and where the version comes from."""

from typing import Annotated

import typer

Labels = Annotated[
    list[str] | None,
    typer.Option(help="Name of a class, for the columns of the graph's scores in order; repeat for each."),
]
WarmUp = Annotated[
    list[str] | None,
    typer.Option(
        metavar="INPUT=SHAPE", help="A usual shape of an input of the graph, such as pixels=1x3x224x224; repeat."
    ),
]
AllowNonFinite = Annotated[
    bool, typer.Option("--allow-non-finite", help="NaN and infinity may go into the graph and come out of it.")
]
Executor = Annotated[
    str | None,
    typer.Option(
        help="The only executor that may compute the version, such as onnxruntime or openvino. Default: the fastest "
        "whose outputs are right.",
        show_default=False,
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        help="Numbers that the version is computed with: f32, or bf16, whose results differ. The same artifact with "
        "another precision is another version."
    ),
]
NewVersion = Annotated[
    str | None, typer.Option(help="Name of the version. Default: the next v<n>.", show_default=False)
]
Metrics = Annotated[
    list[str] | None, typer.Option(metavar="KEY=NUMBER", help="A figure of the training; repeat for more.")
]
Tags = Annotated[list[str] | None, typer.Option(metavar="KEY=TEXT", help="A tag; repeat for more.")]
CodeRevision = Annotated[str | None, typer.Option(help="Revision of the training code.", show_default=False)]
DataSnapshot = Annotated[str | None, typer.Option(help="Digest of the training data.", show_default=False)]
RunIdOption = Annotated[str | None, typer.Option(help="The training run it came from.", show_default=False)]
