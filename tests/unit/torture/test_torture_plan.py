"""The plan of a torture run: the same for the same seed, and possible to carry out."""

from collections import Counter

import pytest

from tests.torture.plan import SESSION_SECONDS, SHORT, Plan, schedule, worker_names

SEEDS = range(50)


@pytest.mark.parametrize("plan", [Plan(), SHORT])
def test_a_seed_names_one_schedule(plan: Plan) -> None:
    assert schedule(5, plan, 3) == schedule(5, plan, 3)
    assert len({schedule(seed, plan, 3) for seed in SEEDS}) == len(SEEDS)


def test_a_seed_names_the_same_schedule_in_every_release() -> None:
    """A change of the plan is meant to be seen: seeds in old reports no longer name the runs they named."""
    steps = schedule(5, SHORT, 1)
    assert [(fault.at_s, fault.kind, fault.worker) for fault in steps.worker_faults] == [
        (1.364, "add", "w3"),
        (8.691, "remove", "w2"),
        (14.862, "kill", "w3"),
        (22.748, "pause", "w1"),
        (24.881, "kill", "w3"),
    ]


def test_the_long_run_is_what_it_claims_to_be() -> None:
    plan = Plan()
    assert plan.requests_min >= 200_000
    assert plan.faults >= 30
    for seed in SEEDS:
        steps = schedule(seed, plan, 3)
        lanes = (steps.worker_faults, steps.broker_faults, steps.servant_faults)
        assert Counter(fault.kind for lane in lanes for fault in lane) == {
            "kill": 12,
            "pause": 4,
            "remove": 3,
            "add": 3,
            "broker-stop": 5,
            "broker-kill": 5,
            "broker-away": 1,
            "disk-full": 1,
            "registry-leader": 2,
            "agents-kill": 2,
            "api-kill": 2,
        }
        assert [growth.factor for growth in steps.growths] == [2, 4], "8, 16, 64 partitions"
        assert steps.broker_faults[-1].kind == "broker-away"
        assert steps.broker_faults[-1].seconds == 180
        assert sum(swap.kind == "damaged" for swap in steps.swaps) == 1
        assert sum(swap.kind == "full-store" for swap in steps.swaps) == 1
        assert {"switch", "promote", "roll-back", "register-and-switch"} <= {swap.kind for swap in steps.swaps}


@pytest.mark.parametrize("plan", [Plan(), SHORT])
@pytest.mark.parametrize("seed", SEEDS)
def test_every_step_is_possible_when_it_comes(plan: Plan, seed: int) -> None:
    steps = schedule(seed, plan, 3)
    running = set(worker_names(plan)[: plan.workers_first])
    asleep: tuple[str, float] = ("", 0.0)
    for fault in steps.worker_faults:
        awake = running - {asleep[0] if fault.at_s < asleep[1] else ""}
        if fault.kind == "add":
            assert fault.worker not in running
            running.add(fault.worker)
            continue
        assert fault.worker in awake
        if fault.kind == "pause":
            assert fault.seconds > SESSION_SECONDS
            assert awake == running  # one at a time
            assert len(running) >= 2  # so that another takes over
            asleep = (fault.worker, fault.at_s + fault.seconds)
        elif fault.kind == "remove":
            running.remove(fault.worker)
    for lane in (steps.worker_faults, steps.broker_faults, steps.servant_faults, steps.swaps):
        times = [step.at_s for step in lane]
        assert times == sorted(times)
    assert all(fault.node in range(3) for fault in steps.broker_faults)


def test_brokers_are_taken_away_only_where_two_are_left() -> None:
    with pytest.raises(ValueError, match="three nodes"):
        schedule(1, Plan(), 1)
