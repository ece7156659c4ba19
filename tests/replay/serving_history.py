"""The part of a release's history that has every event of circuits, of their policy and of the off switch."""

from msgspec.structs import replace

from tests.replay.rollout_history import Sender
from tests.support.samples.registry import archive, promote, register, roll_back, switch, validate
from tests.support.samples.serving import (
    FAIL_FAST,
    FIGURES,
    STRICT,
    close_circuit,
    disable,
    enable,
    half_open_circuit,
    open_circuit,
    set_serving_policy,
)


async def circuits(writers: Sender) -> None:
    """Opened by workers and by hand, probed, closed and reopened, reset by a promotion; switched off and on."""
    await writers.send(
        register("v1"),
        validate("v1", promote_first=True),
        register("v2"),
        validate("v2", 0.98, ("v1", 0.97)),
        promote("v2"),
        open_circuit("v2", "error-rate", figures=FIGURES, worker="worker-1", reason="too many failures by v2"),
        half_open_circuit("v2", reason="open for 30 s"),
        open_circuit("v2", "probe-failed", figures={"probes_failed": 1.0}, worker="worker-2"),
        half_open_circuit("v2"),
        close_circuit("v2", "probes-passed", figures={"probes_passed": 10.0}, worker="worker-1"),
        set_serving_policy(STRICT, reason="tighter"),
        open_circuit("v2", "latency", figures={"slow_share": 0.2, "latency_ms_max": 50.0}, worker="worker-1"),
        close_circuit("v2", reason="the network was slow"),
        register("heuristic"),
        set_serving_policy(replace(STRICT, fallback_version="heuristic", latency_ms_max=None)),
        open_circuit("v2", reason="drill"),
        disable(reason="wrong answers for everyone"),
        switch("v1"),
        enable(reason="v1 is sound"),
        open_circuit("v1"),
        roll_back(),
        set_serving_policy(FAIL_FAST),
        open_circuit("v2", "error-rate", figures=FIGURES, worker="worker-1"),
        half_open_circuit("v2"),
        archive("heuristic"),
        register("v1", model_name="faces"),
        switch("v1", model_name="faces"),
        disable(model_name="faces"),
    )
