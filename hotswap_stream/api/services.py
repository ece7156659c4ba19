"""What the API stands on: ports and settings, handed in by whoever starts it."""

from collections.abc import Awaitable, Callable, Mapping

from msgspec import Struct, field

from hotswap_stream.application.artifacts.exporting import GraphOfArtifact, no_graph
from hotswap_stream.application.artifacts.facts import TrialOfArtifact
from hotswap_stream.application.artifacts.store import ArtifactStore
from hotswap_stream.application.artifacts.uploads.receiving import Uploads
from hotswap_stream.application.clock import Clock, Ids
from hotswap_stream.application.datasets.children import OrderedBuild
from hotswap_stream.application.datasets.view import BuiltDataset
from hotswap_stream.application.inference.fleet import FleetView
from hotswap_stream.application.inference.gateway import InferenceGateway
from hotswap_stream.application.keys.access import Openness
from hotswap_stream.application.keys.port import KeyLog
from hotswap_stream.application.keys.sessions import SessionLimits, SessionStore
from hotswap_stream.application.log.stream import LogStream
from hotswap_stream.application.mlflow.exports import Exports
from hotswap_stream.application.mlflow.source import ModelSource
from hotswap_stream.application.monitoring.traffic import TrafficView
from hotswap_stream.application.observations.feedback import AnswerLookup, FeedbackLog
from hotswap_stream.application.observations.history import RecordedHistory
from hotswap_stream.application.processes.side_loop import SideLoop
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.application.rollouts.shown import EvidenceView
from hotswap_stream.application.trainers.port import ProgressView
from hotswap_stream.application.training.measuring import MeasureVersion
from hotswap_stream.application.training.runs import TrainingSpec
from hotswap_stream.application.webhooks.listed import ListedWebhook
from hotswap_stream.application.windows.view import WindowReader
from hotswap_stream.home.api_members import ApiMember
from hotswap_stream.home.broker_condition import BrokerCondition

REQUEST_BYTES_MAX = 1_048_576
INFER_BYTES_MAX = 4 * 1_048_576

StartTraining = Callable[[TrainingSpec, str | None], Awaitable[None]]
"""The run and the reason for it. Returns as soon as the run is accepted; a HotswapError says why it is not."""


WebhookDeliveries = Callable[[LogStream], Awaitable[list[ListedWebhook]]]
"""Gets the log's own stream."""
BuildDataset = Callable[[OrderedBuild], Awaitable[BuiltDataset]]


class ApiServices(Struct, frozen=True, kw_only=True):
    """`registry` is started, and used from the event loop the API runs in."""

    registry: Registry
    artifacts: ArtifactStore
    try_artifact: TrialOfArtifact
    export_graph: GraphOfArtifact = no_graph
    """Tries what is registered by its digest, where its kind needs it."""
    clock: Clock
    ids: Ids
    environment: str
    """The topic prefix: which of several environments on one cluster this is."""
    api_keys: Mapping[str, str] = {}
    """Name → key of those of the settings, which may do everything; the name is the actor."""
    keys: KeyLog | None = None
    """The environment's keys; without it there are none but those of the settings."""
    open_to: Openness | None = None
    """Who needs no key."""
    session_limits: SessionLimits = SessionLimits()
    """How long whoever signed in to the page need not do so again."""
    session_store: SessionStore | None = None
    """Where sessions outlast a restart; without one, they end with this server."""
    requests_per_second_per_key_max: float | None = None
    """More of one key are refused with 429; None: no limit."""
    start_training: StartTraining | None = None
    measure_version: MeasureVersion | None = None
    """Measures versions on their validation set; without it, whoever asks for that is told so."""
    build_dataset: BuildDataset | None = None
    """Builds datasets; without it, whoever asks for one is told so."""
    uploads: Uploads | None = None
    """Where models are uploaded to; without it, whoever uploads one is told so."""
    inference: InferenceGateway | None = None
    """The way to the models; without one, whoever asks them is told so."""
    infer_bytes_max: int = INFER_BYTES_MAX
    infer_in_flight_max: int = 256
    infer_timeout_ms: int = 10_000
    infer_wait_ms_max: int = 5_000
    """A request that would likely wait longer for its answer is refused at once."""
    infer_in_flight_per_key_max: int = 128
    """The share of one API key in `infer_in_flight_max`; callers without a key have one share together."""
    fleet: FleetView | None = None
    training_progress: ProgressView | None = None
    """What runners say of their runs."""
    """What the workers say of themselves; without one, nothing is known of them."""
    traffic: TrafficView | None = None
    """What the workers tell of their answers; without it, nobody can be told how a model does."""
    evidence: EvidenceView | None = None
    """What rollouts show; without it, nobody can be told but by a report."""
    webhook_deliveries: WebhookDeliveries | None = None
    """How far the agents told each webhook; without it, only which there are is known."""
    windows: WindowReader | None = None
    """What workers keep of series; without one, nothing is known of that."""
    feedback: FeedbackLog | None = None
    """Where feedback goes; without one, whoever gives any is told so."""
    recorded: RecordedHistory | None = None
    """Observations and feedback, to be read again; without it, nobody can be told how the arms of a rollout do."""
    answers: AnswerLookup | None = None
    """Finds the answers that feedback is about; without it, feedback is not part of those reports."""
    side: SideLoop = field(default_factory=SideLoop)
    """Where long histories are read, so that requests to models do not wait; closed with the application. `answers` are
    asked there."""
    mlflow_source: ModelSource | None = None
    """Fetches the models that MLflow's clients register; without one, only what is here already can be registered."""
    mlflow_exports: Exports | None = None
    """Model directories for MLflow's clients; without it, they cannot download versions."""
    mlflow_webhook_secret: str | None = None
    """What an MLflow server signs its webhooks with; without one, none are taken."""
    mlflow_production_alias: str = "champion"
    """The alias that is what is in production: setting it promotes."""
    mlflow_url: str | None = None
    """How MLflow's clients reach this API, if not by the name they ask by."""
    broker: Callable[[], BrokerCondition | None] | None = None
    """How the embedded broker of this machine is; None of a cluster that is kept by others."""
    member: ApiMember | None = None
    """Which of several processes behind one port this is; None: the only one."""
    request_bytes_max: int = REQUEST_BYTES_MAX
    event_stream_clients_max: int = 64
    heartbeat_seconds: float = 15.0
    """A silent event stream sends a comment this often, so that proxies and clients see it is alive."""
    send_seconds_max: float = 30.0
    """An event stream client that takes nothing for this long is cut off."""
