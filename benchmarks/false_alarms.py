"""False alarms of A/A experiments that are looked at after every answer.

    python -m benchmarks.false_alarms [EXPERIMENTS]

Both arms answer equally well, so each "worse" and each "better" is a false alarm; "not worse" is one where the
candidate is worse by exactly the margin. The comparison, on the same answers: the usual z-test of two rates, looked at
daily for a month.
"""

import json
import sys

import numpy as np

from benchmarks.simulated_rates import Comparisons, result

ALPHA = 0.05
MARGIN = 0.05
ANSWERS = 10_000
DAYS = 30
CASES = ((0.90, 0.5), (0.90, 0.05), (0.99, 0.5), (0.50, 0.5))
"""Success rate and the candidate's share."""


def run(experiments: int = 2_000) -> list[dict[str, object]]:
    """Return the shares of experiments with a false alarm. The first case is the one with the aim of the comparison."""
    results = []
    for rate, share in CASES:
        ours, daily = alarms(rate, rate, share, experiments)
        results.append(
            result(
                name=f"false_alarms_{rate:g}_share_{share:g}",
                ours=ours,
                compared_with=f"a z-test looked at on each of {DAYS} days",
                comparison=daily,
                unit="of A/A experiments",
                ratio=ours / daily,
                aim=f"<= {ALPHA}",
                holds=ours <= ALPHA,
                experiments=experiments,
                answers=ANSWERS,
            )
        )
    wrongly_passed, _daily = alarms(0.90, 0.90 - MARGIN, 0.5, experiments, finding="not_worse")
    results.append(
        result(
            name="false_not_worse",
            ours=wrongly_passed,
            compared_with="what alpha allows a single finding",
            comparison=ALPHA / 2,
            unit="of experiments with a candidate worse by the margin",
            ratio=wrongly_passed / (ALPHA / 2),
            aim=f"<= {ALPHA / 2}",
            holds=wrongly_passed <= ALPHA / 2,
            experiments=experiments,
            answers=ANSWERS,
        )
    )
    return results


def alarms(
    baseline_rate: float,
    candidate_rate: float,
    share: float,
    experiments: int,
    *,
    finding: str | None = None,
    answers: int = ANSWERS,
) -> tuple[float, float]:
    """Return the shares of experiments with an alarm, ours and the z-test's. Without `finding`, both count."""
    random = np.random.default_rng(20_260_101)
    comparisons = Comparisons(experiments, MARGIN)
    trials = np.zeros((2, experiments))
    successes = np.zeros((2, experiments))
    daily = np.zeros(experiments, dtype=bool)
    for answer in range(1, answers + 1):
        of_candidate = random.random(experiments) < share
        success = random.random(experiments) < np.where(of_candidate, candidate_rate, baseline_rate)
        comparisons.observe(of_candidate, success)
        for arm, answered in enumerate((~of_candidate, of_candidate)):
            trials[arm] += answered
            successes[arm] += answered & success
        if answer % (answers // DAYS) == 0:
            pooled = successes.sum(axis=0) / trials.sum(axis=0)
            error = np.sqrt(np.maximum(pooled * (1 - pooled), 1e-12) * (1 / np.maximum(trials, 1)).sum(axis=0))
            daily |= np.abs(np.subtract(*(successes / np.maximum(trials, 1)))) > 1.959964 * error
    names = [finding] if finding else ["worse", "better"]
    alarmed = np.any([comparisons.highest[name] >= np.log(2 / ALPHA) for name in names], axis=0)
    return float(alarmed.mean()), float(daily.mean())


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]) if len(sys.argv) > 1 else 2_000), indent=2))
