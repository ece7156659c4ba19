"""The agents' process: one fold of the log, one Faust app, its agents on it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from pathlib import Path

import structlog
from aiokafka.partitioner import DefaultPartitioner

from hotswap_events.dataset import RequestRetention
from hotswap_events.topics import Topics, TopicSpec
from hotswap_stream.agents.alert_agent import LAG_SECONDS, AlertAgent
from hotswap_stream.agents.analysis_agent import AnalysisAgent
from hotswap_stream.agents.command_agent import CommandAgent, Unsigned
from hotswap_stream.agents.evidence_writer import EvidenceWriter
from hotswap_stream.agents.faust_app import FaustAgents
from hotswap_stream.agents.figures import AgentsFigures
from hotswap_stream.agents.observation_reader import ObservationReader
from hotswap_stream.agents.progress.marks import ReadingMarks
from hotswap_stream.agents.progress.watch import ProgressWatch
from hotswap_stream.agents.record_care import RecordCare
from hotswap_stream.agents.registry_agent import RegistryAgent
from hotswap_stream.agents.topics import (
    agent_topic_specs,
    analysis_partitions,
    analysis_topic,
    stream_heads_topic,
)
from hotswap_stream.agents.trigger_agent import TriggerAgent
from hotswap_stream.application.clock import Clock
from hotswap_stream.application.inference.fleet import FleetView
from hotswap_stream.application.inference.lag import RequestLag
from hotswap_stream.application.keys.signatures import CommandSignatures
from hotswap_stream.application.observations.feedback import AnswerLookup
from hotswap_stream.application.processes.watched_tasks import WatchedTasks
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.application.topics.access import KafkaAccess
from hotswap_stream.application.topics.records import InboundRecord
from hotswap_stream.application.windows.split import SplitView
from hotswap_stream.errors import HotswapError
from hotswap_stream.observability import metrics as catalogue

_log = structlog.get_logger(__name__)

STALL_SECONDS_MAX = 60.0
"""How long the registry agent may stand still while there are records for it."""

WATCH_SECONDS = 1.0
WATCHES_STOP_SECONDS_MAX = 5.0
MODELS_REMEMBERED_MAX = 10_000
"""Whose partition need not be computed again."""


class AgentsFailedError(HotswapError):
    """The agents cannot go on; what was not acknowledged is read again when the process is started again."""

    retriable = True


async def run_agents(
    access: KafkaAccess,
    topics: Topics,
    registry: Registry,
    *,
    ensure_topics: Callable[[Sequence[TopicSpec]], Awaitable[None]],
    stop: asyncio.Event,
    instance: str = "1",
    on_model_seen: Callable[[str], Awaitable[None]] | None = None,
    on_retention: Callable[[str, RequestRetention], Awaitable[None]] | None = None,
    on_ready: Callable[[], None] | None = None,
    on_well: Callable[[], None] | None = None,
    clock: Clock,
    answers: AnswerLookup | None = None,
    lag: RequestLag | None = None,
    alert_lag_seconds: float = LAG_SECONDS,
    fleet: FleetView | None = None,
    split: SplitView | None = None,
    marks_file: Path | None = None,
    figures: AgentsFigures | None = None,
    signatures: CommandSignatures | None = None,
    unsigned: Unsigned = "anybody",
) -> None:
    """Run until `stop` is set. Processes of one environment need an `instance` each, the same at every start.

    `registry` comes built and not started. `ensure_topics` creates topics that are missing; `on_model_seen` a model's
    own, and may be called again for the same model; `on_retention` with how long the model's records are kept.
    `on_ready` is called when the agents consume, and `on_well` about once a second from then on, while the log is
    followed and no agent stands still.
    `answers` finds the answers that feedback is about; without it feedback counts for nobody. `lag` says how many
    requests wait, asked every `alert_lag_seconds`, `fleet` which workers live, and `split` which series lie in
    several partitions; without them no alert comes from that. `marks_file` is where this process marks the records that
    it has in hand, the same at every start and no other process's: without it a record that ends the process in a way
    that nobody can catch does so at every start.
    `figures` are told what there is to count, and when all is well. `signatures` tell whose a signed command is, and
    `unsigned` what others count for.

    Raises ConfigurationError, and AgentsFailedError or LogUnavailableError when the process should be started again.
    Either way end the process with `os._exit`: Faust's threads may outlive a failed stop and would keep it alive.
    """
    await ensure_topics((*topics.control_specs(), *agent_topic_specs(topics)))
    agents = FaustAgents(
        access,
        group=f"{topics.prefix}-agents",
        instance=f"{topics.prefix}-agents-{instance}",
        table_topic=stream_heads_topic(topics),
    )
    watch = ProgressWatch(asyncio.get_running_loop().time)
    marks = None if marks_file is None else ReadingMarks(marks_file)
    care = RecordCare(agents, topics, marks=marks)
    registry_agent = RegistryAgent(
        registry, agents, topics, agents.table, on_model_seen=on_model_seen, on_retention=on_retention, care=care
    )
    command_agent = CommandAgent(registry, agents, topics, care=care, signatures=signatures, unsigned=unsigned)
    partitions = analysis_partitions(topics)
    entries = agents.add_table("analysis", analysis_topic(topics), partitions=partitions)
    alert_agent = AlertAgent(registry, clock=clock, lag=lag, lag_seconds=alert_lag_seconds, fleet=fleet, split=split)
    trigger_agent = TriggerAgent(registry, clock=clock, rows_total=lambda name: analysis_agent.feedback_total(name))
    analysis_agent = AnalysisAgent(
        registry,
        agents,
        topics,
        entries,
        clock=clock,
        answers=answers,
        flush=agents.flush,
        care=care,
        listeners=(alert_agent, trigger_agent),
    )
    evidence = EvidenceWriter(registry, agents, topics, analysis_agent.entry, clock=clock)

    async def look_at_rollouts() -> None:
        await analysis_agent.tick(owns_model)
        await evidence.write(owns_model, analysis_agent.read_to())

    # The analysis last: the others never raise, and hear also what rollouts put aside.
    observations = ObservationReader(care, (alert_agent, trigger_agent, analysis_agent))

    if figures is not None:
        figures.count(
            {
                catalogue.STATES_PUBLISHED: lambda: registry_agent.published_count,
                catalogue.ROLLOUTS_DECIDED: lambda: analysis_agent.decided_count,
                catalogue.ALERTS_SAID: lambda: alert_agent.said_count,
                catalogue.TRIGGERS_FIRED: lambda: trigger_agent.fired_count,
                catalogue.RECORDS_PUT_ASIDE: lambda: care.put_aside_count,
                catalogue.COMMANDS_UNPROVEN: lambda: command_agent.unproven_count,
            }
        )

    async def handle_registry_record(record: InboundRecord) -> None:
        await registry_agent.handle(record)
        watch.handled(record.offset)

    agents.consume(topics.registry, handle_registry_record)
    agents.consume(topics.commands, command_agent.handle)
    agents.consume(topics.observations, observations.handle)
    agents.consume(topics.feedback, analysis_agent.handle_feedback)

    every = list(range(partitions))

    @lru_cache(maxsize=MODELS_REMEMBERED_MAX)
    def partition_of(model_name: str) -> int:
        partition: int = DefaultPartitioner()(model_name.encode(), every, every)
        return partition

    def owns_model(model_name: str) -> bool:
        return partition_of(model_name) in agents.owned_partitions(topics.observations)

    watches_stop = asyncio.Event()
    watches: set[asyncio.Task[None]] = set()
    background = WatchedTasks("the alerts or the triggers")

    try:
        if marks is not None:
            marks.open()
        await registry.start()
        registry.listen(lambda entry: watch.folded(entry.record.offset))
        await agents.start()
        _log.info("agents_ready", group=f"{topics.prefix}-agents", instance=instance)
        if on_ready is not None:
            on_ready()
        watches.add(background.started(alert_agent.watch(owns_model, watches_stop), name="alerts"))
        watches.add(background.started(trigger_agent.watch(owns_model, watches_stop), name="triggers"))
        await _until_stopped(agents, registry, watch, background, topics, stop, look_at_rollouts, on_well)
    finally:
        watches_stop.set()
        background.expect_end()
        if watches:
            await asyncio.wait(watches, timeout=WATCHES_STOP_SECONDS_MAX)
        await background.stop()
        await agents.stop()
        await registry.stop()
        if marks is not None:
            marks.close()
        _log.info(
            "agents_stopped",
            states_published=registry_agent.published_count,
            rollouts_decided=analysis_agent.decided_count,
            alerts_said=alert_agent.said_count,
            triggers_fired=trigger_agent.fired_count,
            records_put_aside=care.put_aside_count,
        )


async def _until_stopped(
    agents: FaustAgents,
    registry: Registry,
    watch: ProgressWatch,
    background: WatchedTasks,
    topics: Topics,
    stop: asyncio.Event,
    tick: Callable[[], Awaitable[None]],
    on_well: Callable[[], None] | None,
) -> None:
    stopping = asyncio.create_task(stop.wait(), name="agents-stop")
    failing = asyncio.create_task(agents.failure(), name="agents-failure")
    try:
        while not stopping.done():
            await asyncio.wait({stopping, failing}, timeout=WATCH_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if failing.done():
                error = failing.result()
                raise AgentsFailedError(f"an agent failed: {error}") from error
            if background.failure is not None:
                raise AgentsFailedError(str(background.failure)) from background.failure
            if not registry.healthy:
                raise AgentsFailedError("the registry log is no longer followed")
            if watch.seconds_behind() > STALL_SECONDS_MAX and agents.owns(topics.registry):
                raise AgentsFailedError(
                    f"the registry agent stood still for {watch.seconds_behind():.0f} s with records to handle"
                )
            try:
                await tick()
            except HotswapError as error:
                if not error.retriable:
                    raise
                _log.warning("rollouts_not_looked_at", cause=str(error))
            except Exception:  # noqa: BLE001 - while it lasts, the process is not well, and says so
                _log.exception("rollouts_not_looked_at")
            else:
                if on_well is not None:
                    on_well()
    finally:
        stopping.cancel()
        failing.cancel()
