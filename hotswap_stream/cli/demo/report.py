"""What the demo found: the JSON for scripts and the table for people."""

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import typer
from msgspec import Struct

if TYPE_CHECKING:
    from hotswap_stream.cli.demo.traffic import Traffic


class Act(Struct, frozen=True, kw_only=True):
    """One step of the demo: what was meant to happen, and what did."""

    name: str
    outcome: str
    held: bool
    registry_offset: int | None = None
    """Offset of the event that ended it."""
    seconds: float = 0.0
    """How long it took, trainings included."""
    story: tuple[str, ...] = ()
    """What the log says happened, line by line, with times since the act began."""
    figures: dict[str, float] = {}
    """What was counted: shares from 0 to 1, times in seconds."""


class DemoReport(Struct, frozen=True, kw_only=True):
    """The whole run. Times in ms, accuracy as a share from 0 to 1."""

    requests: int
    answers: int
    lost: int
    duplicated: int
    errors: int
    accuracy: dict[str, float]
    promotion_to_first_answer_ms: list[int]
    """Per change of the version in production under traffic: time from its event to the first answer by it, both as
    appended."""
    longest_gap_ms: int
    """Longest time without an answer while requests came steadily."""
    users: int
    """Users who were answered; each request is a user's."""
    users_of_two_versions: int
    """Users who met two versions while the traffic was split in the same way."""
    requests_per_second: float
    seconds: float
    audit: str
    acts: list[Act]

    @property
    def held(self) -> bool:
        """Whether everything went as it should."""
        wrong = self.lost or self.duplicated or self.errors or self.users_of_two_versions
        return all(act.held for act in self.acts) and not wrong


def make_report(
    traffic: "Traffic", acts: list[Act], swaps_ms: list[int], *, rate: float, seconds: float, audit: str
) -> DemoReport:
    """Return the figures put together."""
    from hotswap_stream.cli.demo.loyalty import users_of_two

    return DemoReport(
        requests=traffic.requests,
        answers=traffic.answers,
        lost=traffic.lost,
        duplicated=traffic.duplicated,
        errors=len(traffic.errors),
        accuracy={version: round(share, 4) for version, share in traffic.accuracy().items()},
        promotion_to_first_answer_ms=swaps_ms,
        longest_gap_ms=traffic.longest_gap_ms(),
        users=len({seen.user for seen in traffic.seen}),
        users_of_two_versions=len(users_of_two(traffic.seen)),
        requests_per_second=rate,
        seconds=round(seconds, 1),
        audit=audit,
        acts=acts,
    )


def write_report(report: DemoReport, path: Path) -> None:
    """Write the report as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")


def print_report(report: DemoReport) -> None:
    """Print the table at the end."""
    from hotswap_stream.cli.terminal.printing import print_table

    print_table(
        ("act", "outcome", "s", ""),
        [(act.name, act.outcome, round(act.seconds), "ok" if act.held else "NOT OK") for act in report.acts],
        title="What happened",
    )
    typer.echo()
    swaps = ", ".join(f"{value} ms" for value in report.promotion_to_first_answer_ms)
    accuracy = ", ".join(f"{version} {share:.1%}" for version, share in report.accuracy.items())
    print_table(
        ("figure", "value"),
        [
            ("requests → answers", f"{report.requests} → {report.answers}"),
            ("lost / duplicated / errors", f"{report.lost} / {report.duplicated} / {report.errors}"),
            ("accuracy on held-out digits", accuracy),
            ("users who met two versions at the same split", f"{report.users_of_two_versions} of {report.users}"),
            ("promotion event → first answer by the new weights", swaps),
            ("longest time without an answer", f"{report.longest_gap_ms} ms at {report.requests_per_second:g}/s"),
            ("audit of the log", report.audit),
            ("time", f"{report.seconds:.0f} s"),
        ],
        title="What the requests saw",
    )
