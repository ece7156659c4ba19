"""The part of a release's history that has validation sets of the model's own, and verdicts by gates alone."""

from typing import Protocol

from hotswap_events.commands import AnyCommand
from tests.support.samples.registry import archive, promote, register, validate
from tests.support.samples.rollouts import set_validation_policy
from tests.support.samples.validation_sets import NUMBERS, choose, set_of


class Sender(Protocol):
    """As much of the history's writers as a story needs."""

    async def send(self, *commands: AnyCommand) -> None:
        """One after the other; each is accepted."""


def _measured(name: str, rmse: float, r2: float, baseline: tuple[str, float, float] | None = None) -> AnyCommand:
    """Figures of a regression, beside the active version's."""
    against = {} if baseline is None else {"rmse": baseline[1], "r2": baseline[2]}
    return validate(
        name,
        figures={"rmse": rmse, "r2": r2, "count": 442.0},
        baseline_version=None if baseline is None else baseline[0],
        baseline_figures=against,
        validation_set=set_of().artifact_digest,
        promote_first=True,
    )


async def validation_sets(writers: Sender) -> None:
    """A set is chosen and changed; verdicts without gates, by gates, and after a return to classification."""
    await writers.send(
        register("v1"),
        choose(set_of(source="diabetes.npz"), reason="the model's own"),
        _measured("v1", 1.5, 0.5),
        set_validation_policy(NUMBERS),
        _measured("v1", 1.5, 0.5),
        register("v2"),
        _measured("v2", 1.75, 0.5, ("v1", 1.5, 0.5)),
        register("v3"),
        _measured("v3", 1.25, 0.25, ("v1", 1.5, 0.5)),
        promote("v3", reason="a person looked"),
        register("v4"),
        archive("v4"),
        choose(set_of("classification", rows=10)),
        register("v5"),
        validate(
            "v5",
            0.97,
            ("v3", 0.96),
            figures={"accuracy": 0.97, "rmse": 1.0, "r2": 0.5},
            baseline_figures={"accuracy": 0.96, "rmse": 1.0, "r2": 0.5},
        ),
    )
