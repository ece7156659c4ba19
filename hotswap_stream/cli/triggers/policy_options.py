"""Training policies as files, TOML or JSON, and as options that change the policy that holds."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hotswap_stream.cli.terminal.documents import converted, read_document

if TYPE_CHECKING:
    from hotswap_events.training.policy import TrainingPolicy

PolicyFile = Annotated[
    Path | None,
    typer.Option(
        "--file",
        "-f",
        help="The whole policy as TOML or JSON: trainer, [schedule], [drift] …",
        exists=True,
        dir_okay=False,
        show_default=False,
    ),
]
Trainer = Annotated[str | None, typer.Option(help="Name of a trainer that the runners know.", show_default=False)]
Parameters = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Of the trainer; repeat for more.")
]
Datasets = Annotated[
    list[str] | None,
    typer.Option("--dataset", help="Digest or name of one for every run; repeat for more.", show_default=False),
]
Cron = Annotated[
    str | None, typer.Option(metavar="'MIN HOUR DAY MONTH WEEKDAY'", help="Start at these times.", show_default=False)
]
Timezone = Annotated[str | None, typer.Option(help="Of --cron, as Europe/Berlin.", show_default=False)]
Drift = Annotated[
    float | None,
    typer.Option(metavar="DISTANCE", help="Start when input drift is above it, 0 to 1.", show_default=False),
]
Quality = Annotated[
    str | None,
    typer.Option(metavar="METRIC:DROP", help="Start when it is worse by that, as accuracy:0.05.", show_default=False),
]
Rows = Annotated[
    int | None, typer.Option(help="Start after this number of pieces of feedback.", min=1, show_default=False)
]
Files = Annotated[bool | None, typer.Option(help="Start for each file in a watched folder.", show_default=False)]
Cooldown = Annotated[float | None, typer.Option(metavar="SECONDS", help="Between two runs.", min=0, show_default=False)]
After = Annotated[
    str | None,
    typer.Option(help="For a version that passes: nothing, shadow, canary or ask.", show_default=False),
]


def policy_of_file(file: Path) -> "TrainingPolicy":
    """Return the training policy of a file. typer.BadParameter for a file that is none."""
    from hotswap_events.training.policy import TrainingPolicy

    document = read_document(file, set(TrainingPolicy.__struct_fields__))
    policy: TrainingPolicy = converted(document, TrainingPolicy, where=str(file))
    return policy


def changed(policy: "TrainingPolicy | None", options: dict[str, Any]) -> "TrainingPolicy":
    """Return the policy with what options say; None: a new one.

    Raises:
        typer.BadParameter: An option does not fit, or a new policy lacks its trainer.
    """
    import msgspec

    from hotswap_events.training.policy import TrainingPolicy

    given = {name: value for name, value in options.items() if value is not None}
    if policy is None and "trainer" not in given:
        raise typer.BadParameter("the model has no training policy yet: say which trainer, --trainer NAME")
    document: dict[str, Any] = {} if policy is None else msgspec.to_builtins(policy)
    for name in ("trainer", "after", "parameters", "datasets"):
        if name in given:
            document[name] = given[name]
    if "cooldown" in given:
        document["cooldown_seconds"] = given["cooldown"]
    if "cron" in given:
        document["schedule"] = {**(document.get("schedule") or {}), "cron": given["cron"]}
    if "timezone" in given:
        if not document.get("schedule"):
            raise typer.BadParameter("--timezone is that of a schedule: give --cron, too")
        document["schedule"]["timezone"] = given["timezone"]
    if "drift" in given:
        document["drift"] = {**(document.get("drift") or {}), "limit": given["drift"]}
    if "quality" in given:
        metric, _, drop = str(given["quality"]).partition(":")
        document["quality"] = {**(document.get("quality") or {}), "metric": metric, "drop": _number(drop)}
    if "rows" in given or "files" in given:
        kept = document.get("data") or {}
        document["data"] = {**kept, **{name: given[name] for name in ("rows", "files") if name in given}}
    made: TrainingPolicy = converted(document, TrainingPolicy, where="policy")
    return made


def parameters_of(texts: list[str] | None) -> dict[str, Any] | None:
    """Return `name=value` texts as parameters: numbers, true, false, null, else text; None without any."""
    import msgspec

    if not texts:
        return None
    found: dict[str, Any] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise typer.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--set")
        try:
            read = msgspec.json.decode(value)
        except msgspec.DecodeError:
            read = value
        found[name] = value if isinstance(read, dict | list) else read
    return found


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no number; METRIC:DROP is needed, as accuracy:0.05") from None
