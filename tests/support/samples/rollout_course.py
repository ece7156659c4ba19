"""What happened before: histories of the sample model that lead to each status of a rollout."""

from tests.support.samples.registry import (
    promoted,
    trained,
    validated,
)
from tests.support.samples.rollouts import (
    STRICT,
    completed,
    progressive,
    rollout_started,
    step_entered,
    weights_set,
)

PROVEN = (
    trained("v1"),
    validated("v1"),
    promoted("v1"),
    trained("v2"),
    validated("v2", baseline=("v1", 0.97)),
)
"""v1 is active, v2 has passed validation."""

IN_CANARY = (*PROVEN, rollout_started(), weights_set(v1=9_500, v2=500))
IN_STEPS = (
    *PROVEN,
    rollout_started(progressive()),
    step_entered(0),
    weights_set(v1=9_500, v2=500),
    step_entered(1),
)
"""At the analysis behind 5 %."""

AT_PAUSE = (*IN_STEPS, step_entered(2), weights_set(v1=5_000, v2=5_000), step_entered(3))
BAKING = (
    *PROVEN,
    rollout_started(policy=STRICT),
    completed("promoted", model_version="v2", bake_seconds=300),
    promoted("v2", "v1"),
)
WON = (completed("promoted", model_version="v2"), promoted("v2", "v1"))
ENDED = (*IN_CANARY, completed("aborted"))
RIVALS = (*PROVEN, trained("v3"), validated("v3", baseline=("v1", 0.97)))
