"""The services with what the API keeps beside them, handed to handlers as a dependency."""

import asyncio
import math

from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import SkipValidation
from msgspec import Struct

from hotswap_stream.api.event_stream_places import EventStreamPlaces
from hotswap_stream.api.services import ApiServices
from hotswap_stream.application.artifacts.manifests import ActiveManifests
from hotswap_stream.application.inference.admission import Admission, AdmissionLimits
from hotswap_stream.application.keys.access import Access
from hotswap_stream.application.keys.attempts import WrongAttempts
from hotswap_stream.application.keys.pace import Pace
from hotswap_stream.application.keys.refused import RefusedCallers
from hotswap_stream.application.keys.sessions import Sessions
from hotswap_stream.application.log.side_reading import SideReading
from hotswap_stream.application.mlflow.deliveries import Deliveries
from hotswap_stream.application.mlflow.stored_source import HereOrElsewhere
from hotswap_stream.application.mlflow.under_way import UnderWay
from hotswap_stream.application.processes.shared_timeouts import SharedTimeouts
from hotswap_stream.application.registry.as_of import RegistryAsOf
from hotswap_stream.application.registry.feed import EventFeed
from hotswap_stream.application.registry.fold import RegistryFold
from hotswap_stream.application.registry.queries import ModelSummary
from hotswap_stream.application.repeated_keys import RepeatedKeys

REFUSAL_SERIES_MAX = 1_000


class StateCounts(Struct, frozen=True, kw_only=True):
    """How much there is in all models together."""

    models: int
    active_models: int
    versions: int
    alerts_raised: int
    critical_alerts_raised: int


RefusalSeries = tuple[str, str, str, str]
"""Model name, version in production, version asked for, refusal code."""


class ApiRuntime:
    """Made with the app, on a started registry; `close` it with the app."""

    def __init__(self, services: ApiServices) -> None:
        self.services = services
        self.registry = services.registry
        self.access = Access(services.api_keys, services.keys, services.open_to)
        self.sessions = Sessions(self.access, services.session_limits, services.session_store)
        self.wrong_attempts = WrongAttempts()
        self.pace = Pace(services.requests_per_second_per_key_max)
        self.refused_callers = RefusedCallers()
        self.repeated_keys = RepeatedKeys()
        self.side = services.side
        self.aside = SideReading(services.registry.log, self.side)
        self.feed = EventFeed(services.registry, self.aside)
        self.as_of = RegistryAsOf(services.registry.log, self.aside)
        self.started_at = services.clock.now()
        self.model_lines: dict[str, ModelSummary] = {}
        """Lines of the list of models as they were made last; each holds until the model's next event."""
        self.counts_known: tuple[int, StateCounts] | None = None
        """Counts over all models, and the offset up to which the log was read for them."""
        self.models_known: tuple[RegistryFold, int, bytes, list[tuple[bytes, bytes]]] | None = None
        """The first page of the list of models in JSON and its headers, of which fold, and up to which offset."""
        self.was_ready_s = -math.inf
        """When the log was last seen to be read to its end, by the monotonic clock; never, if it was not since."""
        self.manifests = ActiveManifests(services.artifacts)
        limits = AdmissionLimits(
            in_flight_max=services.infer_in_flight_max,
            in_flight_per_caller_max=services.infer_in_flight_per_key_max,
        )
        self.admission = Admission(limits, services.fleet)
        self.timeouts = SharedTimeouts()
        self.event_stream_places = EventStreamPlaces(services.event_stream_clients_max)
        self.reports_in_the_making = 0
        self.exports_under_way = 0
        self.evaluations_under_way = 0
        self.asking_deliveries = asyncio.Lock()
        self.mlflow_source = HereOrElsewhere(
            lambda: services.registry.fold.streams, services.mlflow_production_alias, services.mlflow_source
        )
        self.mlflow_creations: UnderWay[str] = UnderWay()
        self.mlflow_followed: UnderWay[str] = UnderWay()
        """By name and number in the registry that webhooks come from."""
        secret = services.mlflow_webhook_secret
        self.mlflow_deliveries = None if secret is None else Deliveries(secret)
        self._stopping = asyncio.Event()
        self.refused_switches: dict[RefusalSeries, int] = {}

    def count_refused_switch(self, model_name: str, to_version: str, code: str) -> None:
        """Count one more refused change of the version in production. Names that do not exist become no series."""
        stream = self.registry.stream(model_name)
        if stream is None:
            series = ("unknown", "none", "unknown", code)
        else:
            to_known = to_version if to_version in stream.state.versions else "unknown"
            series = (model_name, stream.state.active_version or "none", to_known, code)
        if series in self.refused_switches or len(self.refused_switches) < REFUSAL_SERIES_MAX:
            self.refused_switches[series] = self.refused_switches.get(series, 0) + 1

    @property
    def event_stream_clients(self) -> int:
        """Return how many clients follow the event stream."""
        return len(self.event_stream_places)

    @property
    def stopping(self) -> bool:
        """Return whether event streams must end."""
        return self._stopping.is_set()

    def end_event_streams(self) -> None:
        """Let every event stream say goodbye; a server that waits for its connections would wait for ever."""
        self._stopping.set()

    async def wait_for_change(self, given_up: asyncio.Event) -> None:
        """Wait until a record is folded, the server stops, or the event is set.

        Raises:
            LogUnavailableError: The log is not followed.
        """
        change = asyncio.ensure_future(self.registry.wait_for_change())
        tasks = {change, *(asyncio.ensure_future(event.wait()) for event in (self._stopping, given_up))}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if change in done:
                change.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def close(self) -> None:
        """Leave the registry alone from here on."""
        self.end_event_streams()
        self.feed.close()


Runtime = NamedDependency[SkipValidation[ApiRuntime]]


async def provide_runtime(state: State) -> ApiRuntime:
    """Provide the dependency of every handler."""
    runtime: ApiRuntime = state.runtime
    return runtime
