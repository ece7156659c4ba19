"""What becomes of a model's requests: the arms they are split over, and what answers for each. Pure."""

from msgspec import Struct

from hotswap_stream.domain.rollouts.traffic import Traffic, plain_traffic, traffic
from hotswap_stream.domain.serving.route import Route, plain_route, route, route_to
from hotswap_stream.domain.state.model import ModelState


class RequestPlan(Struct, frozen=True, gc=False):
    """The split and, for each of its arms, the route of that arm's requests."""

    split: Traffic
    routes: tuple[Route, ...]

    @property
    def plain(self) -> bool:
        """Whether one version answers all requests, and nothing else sees them."""
        return len(self.routes) == 1 and self.routes[0].probed is None and not self.split.shadows


def request_plan(state: ModelState) -> RequestPlan:
    """Return the plan in this state. Answers name the registry event that last changed it."""
    split = traffic(state)
    if len(split.arms) <= 1:
        return RequestPlan(split, (route(state),))
    return RequestPlan(split, tuple(route_to(state, arm.model_version) for arm in split.arms))


def plain_plan(active_version: str | None) -> RequestPlan:
    """Return the plan while nothing but the active version, if there is one, has a part in it."""
    return RequestPlan(plain_traffic(active_version), (plain_route(active_version),))


def versions_allowed(state: ModelState) -> frozenset[str]:
    """Return the versions that may answer in this state a request that names none.

    These are the arms, what stands in for them, and the probes. The active version stands in for an arm that a worker
    has not loaded.
    """
    plan = request_plan(state)
    if any(found.refused_because == "model-disabled" for found in plan.routes):
        return frozenset()
    allowed = {name for found in plan.routes for name in (found.answered_by, found.probed) if name is not None}
    if len(plan.routes) > 1 and plan.routes[0].answered_by is not None:
        allowed.add(plan.routes[0].answered_by)
    return frozenset(allowed)
