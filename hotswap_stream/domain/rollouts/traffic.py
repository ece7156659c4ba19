"""Who gets which version while a rollout is on: read off the state, the same in every worker.

The arm of a request is `routing.arm_of(key, traffic.salt, traffic.weights_on(worker))`; `traffic.arms[index]` is then
the version. `is_shadowed` says which requests the shadows see.
"""

from msgspec import Struct

from hotswap_events.rollouts.strategy import WEIGHT_TOTAL, Arm, FleetStrategy, ShadowStrategy
from hotswap_stream.domain.rollouts.routing import slot_of
from hotswap_stream.domain.state.model import ModelState


class FleetPart(Struct, frozen=True, gc=False):
    """The workers that answer with the candidate in a fleet canary."""

    share: int
    """Share of the workers, chosen by the hash of their names, in 1/10,000."""
    workers: tuple[str, ...]
    """Workers that are named besides."""


class Traffic(Struct, frozen=True):
    """The split of one model's traffic. Weights and shares in 1/10,000."""

    arms: tuple[Arm, ...]
    """The active version first, then the candidates; weights sum to 10,000. Empty while no version is active."""
    salt: str = ""
    rollout_id: str | None = None
    """The rollout that splits it; None: all of it goes to the active version."""
    shadows: tuple[str, ...] = ()
    """Versions that see a share of the requests beside the one that answers."""
    shadow_share: int = 0
    fleet: FleetPart | None = None
    """In a fleet canary, the part of the workers that `weights_on` sends to the candidate."""

    @property
    def weights(self) -> tuple[int, ...]:
        """The weights of the arms, in their order, as `routing.arm_of` takes them; outside the fleet part."""
        return tuple(arm.weight for arm in self.arms)

    def weights_on(self, worker: str) -> tuple[int, ...]:
        """Return the weights that hold in this worker."""
        if self.fleet is None or not in_fleet_part(self, worker):
            return self.weights
        return (0, WEIGHT_TOTAL, *(0 for _ in self.arms[2:]))


def traffic(state: ModelState) -> Traffic:
    """Return the split in this state. Circuits and the off switch are not in it: they say what answers for an arm."""
    rollout, active = state.rollout, state.active_version
    if active is None or rollout is None or rollout.status == "baking":
        return plain_traffic(active)
    strategy = rollout.strategy
    shadowed = isinstance(strategy, ShadowStrategy)
    return Traffic(
        rollout.arms,
        rollout.salt,
        rollout.rollout_id,
        rollout.candidates if shadowed else (),
        strategy.sample_share if isinstance(strategy, ShadowStrategy) else 0,
        FleetPart(strategy.share, strategy.workers) if isinstance(strategy, FleetStrategy) else None,
    )


def plain_traffic(active_version: str | None) -> Traffic:
    """Return the split without a rollout: all to the active version, if there is one."""
    return Traffic(()) if active_version is None else Traffic((Arm(model_version=active_version, weight=WEIGHT_TOTAL),))


def in_fleet_part(split: Traffic, worker: str) -> bool:
    """Return whether this worker answers with the candidate of a fleet canary.

    Raising the share keeps those that were in.
    """
    if split.fleet is None:
        return False
    return worker in split.fleet.workers or slot_of(worker.encode(), f"{split.salt}/fleet") < split.fleet.share


def is_shadowed(split: Traffic, key: bytes) -> bool:
    """Return whether the shadows see the request with this routing key. Another hash than that of the arms."""
    if not split.shadows:
        return False
    return split.shadow_share >= WEIGHT_TOTAL or slot_of(key, f"{split.salt}/shadow") < split.shadow_share
