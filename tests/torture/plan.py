"""What will be done to the system and when: a pure function of a seed, so that a run can be repeated.

Five lanes run side by side, each in its own order: faults of workers, of brokers, of agents and API, more partitions,
and what an operator does to the registry. A time is the earliest at which a step begins, in seconds after the first
answers; a lane whose former step took longer begins the next one at once.
"""

from random import Random
from typing import Literal

from msgspec import Struct

WorkerFaultKind = Literal["kill", "pause", "remove", "add"]
BrokerFaultKind = Literal["broker-stop", "broker-kill", "broker-away", "disk-full", "registry-leader"]
ServantFaultKind = Literal["agents-kill", "api-kill"]
SwapKind = Literal["switch", "promote", "roll-back", "register-and-switch", "damaged", "full-store"]

SESSION_SECONDS = 10.0
"""After so long without a heartbeat the group gives a worker's partitions to the others."""
_PAUSE_SECONDS = (SESSION_SECONDS + 2.0, SESSION_SECONDS + 5.0)
_AFTER_PAUSE_SECONDS = 3.0
"""A worker that woke up is left alone for so long, so that it can act as a zombie."""
_DOWN_SECONDS_MAX = 2.0
_STEP_SECONDS = 1.0


class Plan(Struct, frozen=True, kw_only=True):
    """How much of everything. The defaults are the long run."""

    requests_min: int = 200_000
    requests_per_second: int = 1_500
    partitions: int = 8
    workers_first: int = 3
    workers_max: int = 5
    """Processes with names of their own; `workers_first` of them run at the beginning."""
    versions_first: int = 6
    kills: int = 12
    pauses: int = 4
    removals: int = 3
    """As many workers are added."""
    broker_stops: int = 5
    broker_kills: int = 5
    brokers_away: int = 1
    """Brokers that stay away for `away_seconds`, after all other faults of brokers."""
    away_seconds: float = 180.0
    disks_full: int = 1
    """Brokers that can write nothing any more, until they have ended."""
    registry_leaders: int = 2
    """Times that the leader of the registry's topic is ended."""
    agents_kills: int = 2
    api_kills: int = 2
    """With either of them at 0 both, no agents and no API run."""
    growth_factors: tuple[int, ...] = (2, 4)
    """One after the other, the model's topics get their number of partitions multiplied: 8, 16, 64."""
    damaged: int = 1
    """Damaged artifacts that are promoted."""
    stores_full: int = 1
    """Artifacts that cannot be written because the disk is full."""
    swap_seconds_min: float = 1.0
    swap_seconds_max: float = 3.0
    quiet_seconds: float = 6.0
    """Without faults at the beginning and at the end."""

    @property
    def seconds(self) -> float:
        """How long it takes to send `requests_min`."""
        return self.requests_min / self.requests_per_second

    @property
    def faults(self) -> int:
        """Faults in all; swaps do not count, but a damaged artifact does."""
        workers = self.kills + self.pauses + 2 * self.removals
        brokers = self.broker_stops + self.broker_kills + self.brokers_away + self.disks_full + self.registry_leaders
        others = self.agents_kills + self.api_kills + len(self.growth_factors) + self.damaged + self.stores_full
        return workers + brokers + others


SHORT = Plan(
    requests_min=9_000,
    requests_per_second=300,
    partitions=4,
    workers_first=2,
    workers_max=3,
    versions_first=4,
    kills=2,
    pauses=1,
    removals=1,
    broker_stops=0,
    broker_kills=0,
    brokers_away=0,
    disks_full=0,
    registry_leaders=0,
    agents_kills=0,
    api_kills=0,
    growth_factors=(2,),
    quiet_seconds=1.0,
)
"""The plan of the test run: some thirty seconds of requests on one broker that others use too."""


class WorkerFault(Struct, frozen=True):
    """`seconds`: how long a paused worker stands still; 0 for the other kinds."""

    at_s: float
    kind: WorkerFaultKind
    worker: str
    seconds: float = 0.0


class BrokerFault(Struct, frozen=True):
    """`seconds`: between the end of the node and its start."""

    at_s: float
    kind: BrokerFaultKind
    node: int
    seconds: float


class ServantFault(Struct, frozen=True):
    """Agents or API get SIGKILL."""

    at_s: float
    kind: ServantFaultKind


class GrowthFault(Struct, frozen=True):
    """By this the number of partitions of the model's topics is multiplied."""

    at_s: float
    factor: int


class Swap(Struct, frozen=True):
    """`pick` chooses among the versions for which the step is legal by then: the remainder counts."""

    at_s: float
    kind: SwapKind
    pick: int


class Schedule(Struct, frozen=True):
    """All that is done in one run."""

    worker_faults: tuple[WorkerFault, ...]
    broker_faults: tuple[BrokerFault, ...]
    swaps: tuple[Swap, ...]
    servant_faults: tuple[ServantFault, ...] = ()
    growths: tuple[GrowthFault, ...] = ()


def worker_names(plan: Plan) -> tuple[str, ...]:
    """Static names: a worker that comes back has the one it had."""
    return tuple(f"w{number}" for number in range(1, plan.workers_max + 1))


def schedule(seed: int, plan: Plan, nodes: int) -> Schedule:
    """The same for the same arguments. ValueError if faults of brokers are asked for with fewer than three nodes."""
    if nodes < 3 and any(_broker_counts(plan).values()):
        raise ValueError(f"brokers can only be taken away from three nodes or more, not from {nodes}")
    return Schedule(
        worker_faults=_worker_faults(Random(f"{seed}/workers"), plan),
        broker_faults=_broker_faults(Random(f"{seed}/brokers"), plan, nodes),
        swaps=_swaps(Random(f"{seed}/swaps"), plan),
        servant_faults=_servant_faults(Random(f"{seed}/servants"), plan),
        growths=_growths(Random(f"{seed}/growths"), plan),
    )


def _moments(random: Random, plan: Plan, count: int) -> list[float]:
    """One at random in each of `count` equal parts of the time in which there are faults."""
    width = (plan.seconds - 2 * plan.quiet_seconds) / max(1, count)
    return [plan.quiet_seconds + (part + random.random()) * width for part in range(count)]


def _worker_faults(random: Random, plan: Plan) -> tuple[WorkerFault, ...]:
    counts: dict[WorkerFaultKind, int] = {
        "kill": plan.kills,
        "pause": plan.pauses,
        "remove": plan.removals,
        "add": plan.removals,
    }
    left = [kind for kind, count in counts.items() for _ in range(count)]
    random.shuffle(left)
    names = worker_names(plan)
    running, asleep_until = set(names[: plan.workers_first]), dict[str, float]()
    faults: list[WorkerFault] = []
    late_s = 0.0
    for moment in _moments(random, plan, len(left)):
        at_s = round(moment + late_s, 3)
        kind = None
        while kind is None:
            awake = sorted(name for name in running if asleep_until.get(name, 0.0) <= at_s)
            kind = next((each for each in left if _is_possible(each, plan, len(running), len(awake))), None)
            if kind is None:  # all that is left needs a worker that stands still
                at_s, late_s = round(at_s + _STEP_SECONDS, 3), late_s + _STEP_SECONDS
        left.remove(kind)
        worker = random.choice(sorted(set(names) - running) if kind == "add" else awake)
        seconds = round(random.uniform(*_PAUSE_SECONDS), 3) if kind == "pause" else 0.0
        if kind == "pause":
            asleep_until[worker] = at_s + seconds + _AFTER_PAUSE_SECONDS
        elif kind == "add":
            running.add(worker)
        elif kind == "remove":
            running.remove(worker)
        faults.append(WorkerFault(at_s, kind, worker, seconds))
    return tuple(faults)


def _is_possible(kind: WorkerFaultKind, plan: Plan, running: int, awake: int) -> bool:
    if kind == "add":
        return running < plan.workers_max
    if kind == "pause":
        return awake == running >= 2  # one at a time, and another takes over
    if kind == "remove":
        return running > 2 and awake >= 2
    return awake >= 1


def _broker_faults(random: Random, plan: Plan, nodes: int) -> tuple[BrokerFault, ...]:
    kinds = [kind for kind, count in _broker_counts(plan).items() for _ in range(count)]
    random.shuffle(kinds)
    # The long one comes last: the lane's others would all begin at once after it.
    kinds.sort(key=lambda kind: kind == "broker-away")
    return tuple(
        BrokerFault(
            round(at_s, 3),
            kind,
            random.randrange(nodes),
            plan.away_seconds if kind == "broker-away" else round(random.uniform(0, _DOWN_SECONDS_MAX), 3),
        )
        for at_s, kind in zip(_moments(random, plan, len(kinds)), kinds, strict=True)
    )


def _broker_counts(plan: Plan) -> dict[BrokerFaultKind, int]:
    return {
        "broker-stop": plan.broker_stops,
        "broker-kill": plan.broker_kills,
        "broker-away": plan.brokers_away,
        "disk-full": plan.disks_full,
        "registry-leader": plan.registry_leaders,
    }


def _servant_faults(random: Random, plan: Plan) -> tuple[ServantFault, ...]:
    counts: dict[ServantFaultKind, int] = {"agents-kill": plan.agents_kills, "api-kill": plan.api_kills}
    kinds = [kind for kind, count in counts.items() for _ in range(count)]
    random.shuffle(kinds)
    moments = _moments(random, plan, len(kinds))
    return tuple(ServantFault(round(at_s, 3), kind) for at_s, kind in zip(moments, kinds, strict=True))


def _growths(random: Random, plan: Plan) -> tuple[GrowthFault, ...]:
    moments = _moments(random, plan, len(plan.growth_factors))
    return tuple(GrowthFault(round(at_s, 3), factor) for at_s, factor in zip(moments, plan.growth_factors, strict=True))


def _swaps(random: Random, plan: Plan) -> tuple[Swap, ...]:
    swaps: list[Swap] = []
    at_s = random.uniform(0, plan.swap_seconds_max)
    while at_s < plan.seconds:
        kind = random.choices(("switch", "promote", "roll-back", "register-and-switch"), (35, 30, 20, 15))[0]
        swaps.append(Swap(round(at_s, 3), kind, random.randrange(1_000)))  # type: ignore[arg-type]
        at_s += random.uniform(plan.swap_seconds_min, plan.swap_seconds_max)
    middle = [place for place, swap in enumerate(swaps) if 0.2 < swap.at_s / plan.seconds < 0.8]
    counts: dict[SwapKind, int] = {"damaged": plan.damaged, "full-store": plan.stores_full}
    strange = [kind for kind, count in counts.items() for _ in range(count)]
    for place, kind in zip(random.sample(middle, len(strange)), strange, strict=True):
        swaps[place] = Swap(swaps[place].at_s, kind, swaps[place].pick)
    return tuple(swaps)
