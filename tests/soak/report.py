"""What a long run found, and whether it passed."""

from msgspec import Struct

from tests.soak.flatness import Judged, Measure, Series, judged
from tests.soak.plan import SoakPlan
from tests.torture.check import Verdict

TENTH_RATIO_MAX = 1.2
TENTH_SECONDS_MIN = 60.0
"""In shorter tenths a killed worker's gap is more than a hundredth of the requests: their p99 says nothing."""
BYTES_A_REQUEST_RATIO_MAX = 1.2
NOT_JUDGED = ("broker", "memory")
"""A JVM takes memory up to the limit of its heap before it looks for what can be given back."""
_MIB = 1024**2


class Change(Struct, frozen=True):
    """What was done, seconds after the beginning."""

    at_s: float
    kind: str
    target: str
    outcome: str


class DiskPoint(Struct, frozen=True):
    """Bytes on the disk, and requests in the topics, at one moment."""

    at_s: float
    requests: int
    broker: int
    artifacts: int


class SoakReport(Struct, kw_only=True):
    """All of one run. `passed`: everything that was judged was well."""

    passed: bool = False
    seed: int
    seconds: float = 0.0
    plan: SoakPlan
    verdict: Verdict
    """What the torture's checker says of the model that is swapped."""
    asked: dict[str, int] = {}
    """Requests to the other models, each judged as it was answered, and again from the topics."""
    changes: list[Change] = []
    flatness: list[Judged] = []
    p99_first_tenth_ms: int | None = None
    p99_last_tenth_ms: int | None = None
    p99_ratio: float | None = None
    p99_judged: bool = False
    broker_bytes_a_request: tuple[float, float] | None = None
    """In the first and in the second half of what was judged."""
    problems: dict[str, int] = {}
    examples: list[str] = []
    series: list[Series] = []
    disk: list[DiskPoint] = []

    def judge(self) -> None:
        """Fill in what follows from the series and the checker's verdict."""
        found = [judged(each, self.plan.warm_up_seconds) for each in self.series]
        self.flatness = [each for each in found if each is not None]
        for each in self.flatness:
            if not each.flat and (each.process, each.measure) != NOT_JUDGED:
                self._problem("grows", in_words(each))
        self._judge_tenths()
        self._judge_broker()
        for kind, count in self.verdict.problems.items():
            self.problems[kind] = self.problems.get(kind, 0) + count
        self.examples += self.verdict.examples
        self.passed = self.verdict.passed and not self.problems

    def _judge_tenths(self) -> None:
        tenths = self.verdict.answer_ms_by_tenth
        if len(tenths) < 2 or not (tenths[0] and tenths[-1]):
            return
        first, last = tenths[0]["p99"], tenths[-1]["p99"]
        self.p99_first_tenth_ms, self.p99_last_tenth_ms = first, last
        self.p99_ratio = round(last / max(1, first), 3)
        self.p99_judged = self.plan.part_seconds >= TENTH_SECONDS_MIN
        if self.p99_judged and self.p99_ratio > TENTH_RATIO_MAX:
            self._problem("slower", f"p99 of the last tenth {last} ms, of the first {first} ms")

    def _judge_broker(self) -> None:
        """What is kept grows with the requests: it must not grow by more for each of them."""
        points = [point for point in self.disk if point.at_s >= self.plan.warm_up_seconds]
        if len(points) < 3:
            return
        first, middle, last = points[0], points[len(points) // 2], points[-1]
        halves = [
            (later.broker - earlier.broker) / max(1, later.requests - earlier.requests)
            for earlier, later in ((first, middle), (middle, last))
        ]
        self.broker_bytes_a_request = round(halves[0], 1), round(halves[1], 1)
        room = 4 * _MIB / max(1, last.requests - middle.requests)
        if halves[1] > BYTES_A_REQUEST_RATIO_MAX * halves[0] + room:
            self._problem("grows", f"bytes of the broker for each request: {halves[0]:.0f}, then {halves[1]:.0f}")

    def _problem(self, kind: str, text: str) -> None:
        self.problems[kind] = self.problems.get(kind, 0) + 1
        self.examples.append(f"{kind}: {text}")


def in_words(found: Judged) -> str:
    """One line."""
    unit: dict[Measure, tuple[float, str]] = {"memory": (_MIB, " MiB"), "disk": (_MIB, " MiB")}
    scale, name = unit.get(found.measure, (1.0, ""))
    growth, most = found.growth / scale, found.growth_max / scale
    return (
        f"{found.process} ({found.pid}) {found.measure}: {growth:+.2f}{name} in {found.seconds:.0f} s "
        f"({found.slope_per_hour / scale:+.1f}{name} an hour), at most {most:.1f}{name}; "
        f"median {found.median / scale:.1f}{name}"
    )


def summary(report: SoakReport) -> str:
    """What a person reads at the end."""
    verdict = report.verdict
    changes: dict[str, int] = {}
    for change in report.changes:
        changes[change.kind] = changes.get(change.kind, 0) + 1
    tenths = [str(tenth.get("p99", "-")) for tenth in verdict.answer_ms_by_tenth]
    lines = [
        f"{'passed' if report.passed else 'FAILED'}: seed {report.seed}, {report.seconds:.0f} s under load",
        f"{verdict.requests} requests to the swapped model, {verdict.answers} answers "
        f"({verdict.error_answers} of them errors), {verdict.void_answers} void ones, {verdict.swaps} swaps; "
        + ", ".join(f"{count} to {name}" for name, count in report.asked.items()),
        f"changes: {', '.join(f'{count} {kind}' for kind, count in sorted(changes.items()))}",
        f"p99 by tenth, ms: {' '.join(tenths)}; last by first {report.p99_ratio}"
        + ("" if report.p99_judged else " (not judged: tenths too short)"),
        f"bytes of the broker a request, first half and second: {report.broker_bytes_a_request}",
        *(("" if each.flat else "GROWS ") + in_words(each) for each in report.flatness),
        *(f"{count} times {kind}" for kind, count in report.problems.items()),
        *report.examples,
    ]
    return "\n".join(lines) + "\n"
