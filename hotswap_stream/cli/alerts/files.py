"""Alert policies as files, TOML or JSON, and single rules as options; an error says where it is."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from hotswap_stream.cli.terminal.documents import converted, read_document

if TYPE_CHECKING:
    from hotswap_events.alerts.events import AlertPolicy, AlertRule

PolicyFile = Annotated[
    Path | None,
    typer.Option(
        "--file",
        "-f",
        help="The whole policy as TOML or JSON: tables [[rules]].",
        exists=True,
        dir_okay=False,
        show_default=False,
    ),
]
RuleTexts = Annotated[
    list[str] | None,
    typer.Option(
        "--rule",
        metavar="METRIC>NUMBER[,SETTING=VALUE...]",
        help="A rule, in quotes, such as 'error-rate>5%', 'accuracy<90%' or "
        "'latency-ms>50,quantile=0.99,severity=critical'; repeat.",
    ),
]
RemovedRules = Annotated[list[str] | None, typer.Option("--remove", metavar="RULE", help="Watch this no more; repeat.")]

SETTINGS = ("name", "quantile", "window_seconds", "answers_min", "for_seconds", "clear_seconds", "severity")
_RIGHT = {
    "name": "lower-case letters, digits and '-', starting with a letter or digit, at most 63 characters",
    "answers_min": "a whole number",
    "severity": "warning or critical",
}
_IN_PERCENT = (
    *("error-rate", "wrong-rate", "percentage-error", "miss-rate", "input-drift", "score-drift"),
    *("accuracy", "hit-rate", "agreement"),
)
_SIDES = {">": "above", "<": "below"}


class RuleChange(NamedTuple):
    """A rule as an option states it."""

    rule: "AlertRule"
    named: frozenset[str]
    """The fields that the option names; the others have their defaults."""


def alert_policy_of(file: Path) -> "AlertPolicy":
    """Return the alert policy of a file. typer.BadParameter for a file that is none."""
    from hotswap_events.alerts.events import AlertPolicy

    policy: AlertPolicy = converted(read_document(file, {"rules"}), AlertPolicy, where=str(file))
    return policy


def parse_rule(text: str) -> RuleChange:
    """Return `latency-ms>50,quantile=0.99` as a rule. typer.BadParameter.

    Its name is the metric's unless it is given.
    """
    from typing import get_args

    import msgspec

    from hotswap_events.alerts.events import AlertMetric, AlertRule

    head, *rest = (part.strip() for part in text.split(","))
    metric, separator, number = (part.strip() for part in head.partition("<" if "<" in head else ">"))
    if not separator or not number:
        raise _bad(
            f"{text!r} is not METRIC>NUMBER or METRIC<NUMBER, such as 'error-rate>5%'; mind the quotes: shells take > "
            "for theirs"
        )
    if metric not in get_args(AlertMetric):
        raise _bad(f"{metric!r} is no metric; there is {', '.join(get_args(AlertMetric))}")
    document: dict[str, Any] = {"name": metric, "metric": metric, _SIDES[separator]: _threshold(metric, number)}
    for part in rest:
        setting, separator, value = (side.strip() for side in part.partition("="))
        if not separator or setting not in SETTINGS:
            raise _bad(f"{part!r} is not SETTING=VALUE; settings are {', '.join(SETTINGS)}")
        document[setting] = value
    try:
        rule = msgspec.convert(document, AlertRule, strict=False)
    except msgspec.ValidationError as error:
        setting = str(error).rpartition("$.")[2].rstrip("`")
        if setting not in document:
            raise _bad(f"{text!r}: {error}") from None
        raise _bad(f"{setting} is {document[setting]!r}; it must be {_RIGHT.get(setting, 'a number')}") from None
    return RuleChange(rule, frozenset(document))


def changed_policy(policy: "AlertPolicy", changes: Iterable[RuleChange], removed: Iterable[str]) -> "AlertPolicy":
    """Return the policy without the removed rules, and with the changed ones.

    A rule that is there keeps what a change does not name.

    Raises:
        typer.BadParameter: A rule to remove is not there.
    """
    from msgspec.structs import asdict, replace

    rules: dict[str, AlertRule] = {rule.name: rule for rule in policy.rules}
    for name in removed:
        if name not in rules:
            raise typer.BadParameter(f"there is no rule {name!r}; there is {_names(rules)}", param_hint="--remove")
        del rules[name]
    for change in changes:
        rule, former = change.rule, rules.get(change.rule.name)
        if former is not None and former.metric == rule.metric:
            sides = {"above", "below"}  # one of them is named, and the other goes
            named = {name: value for name, value in asdict(rule).items() if name in change.named | sides}
            rule = replace(former, **named)
        rules[rule.name] = rule
    return replace(policy, rules=tuple(rules.values()))


def _threshold(metric: str, number: str) -> float:
    in_percent = number.endswith("%")
    if in_percent and metric not in _IN_PERCENT:
        raise _bad(f"{number!r}: {metric} is not in percent")
    try:
        value = float(number.removesuffix("%"))
    except ValueError:
        raise _bad(f"{number!r} is not a number, such as 50 or 5%") from None
    return value / 100 if in_percent else value


def _names(rules: Mapping[str, object]) -> str:
    return ", ".join(rules) or "none"


def _bad(problem: str) -> typer.BadParameter:
    return typer.BadParameter(problem, param_hint="--rule")
