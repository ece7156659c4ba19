"""One load test from its subject to its report."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from hotswap_stream.adapters.kafka.inference.gateway import KafkaInferenceGateway
from hotswap_stream.client.errors import LoadError
from hotswap_stream.client.load.drive import LoadPlan, LoadRun, LoadTarget
from hotswap_stream.client.load.http_connection import server_of
from hotswap_stream.client.load.http_target import HttpTarget
from hotswap_stream.client.load.model_inputs import input_names, inputs_by_http
from hotswap_stream.client.load.payloads import Format, InputSpec, Payload, file_payloads, random_payloads
from hotswap_stream.client.load.tally import LoadReport
from hotswap_stream.client.load.topic_target import TopicTarget

SERIES_KEYS = 100
"""How many keys a model that takes windows is asked with, where the number is not given."""


class LoadSubject(Struct, frozen=True, kw_only=True):
    """Who is asked what."""

    model_name: str
    model_version: str | None = None
    """Ask this version; else the one in production."""
    rows: int = 1
    body_format: Format = "msgpack"
    data: Path | None = None
    """Rows to send; else they are made up."""
    seed: int = 0
    keys: int = 0
    """Routing keys to spread over; 0 sends none."""
    takes_windows: bool = False
    """Requests bring steps of series, each named by its key: a series' requests go to one partition."""

    def payloads(self, inputs: Sequence[InputSpec]) -> tuple[Payload, ...]:
        """Return what to send to a model with these inputs. LoadError for data that do not fit."""
        if self.data is not None:
            return file_payloads(self.data, input_names(inputs), rows=self.rows, body_format=self.body_format)
        return random_payloads(inputs, rows=self.rows, body_format=self.body_format, seed=self.seed)


def with_windows(subject: LoadSubject) -> LoadSubject:
    """Return the subject for a version that takes windows: each made-up request brings a whole window of its series.

    LoadError where rows of several series were asked for in one request.
    """
    if subject.rows != 1 and subject.data is None:
        raise LoadError(
            f"{subject.model_name!r} takes windows: a request is about one series, so rows must be 1, not "
            f"{subject.rows}; to bring a few steps at a time, give a file of [steps, features] with --data"
        )
    return replace(subject, takes_windows=True, keys=subject.keys or SERIES_KEYS)


@asynccontextmanager
async def load_by_http(
    url: str, subject: LoadSubject, plan: LoadPlan, api_key: str | None = None
) -> AsyncIterator[LoadTarget]:
    """Open a server of the Open Inference Protocol as the target.

    Raises:
        HotswapError: It does not know the model, or is no such server.
    """
    server_of(url)
    inputs = await inputs_by_http(
        url, subject.model_name, model_version=subject.model_version, api_key=api_key, timeout_s=plan.timeout_s
    )
    target = HttpTarget(
        url,
        subject.model_name,
        subject.payloads(inputs),
        keys=subject.keys,
        model_version=subject.model_version,
        api_key=api_key,
    )
    try:
        yield target
    finally:
        target.close()


@asynccontextmanager
async def load_by_topic(
    gateway: KafkaInferenceGateway, inputs: Sequence[InputSpec], subject: LoadSubject, plan: LoadPlan
) -> AsyncIterator[LoadTarget]:
    """Open the model's topics as the target. Closes the gateway at the end."""
    try:
        target = TopicTarget(
            gateway,
            subject.model_name,
            subject.payloads(inputs),
            timeout_s=plan.timeout_s,
            keys=subject.keys,
            by_key=subject.takes_windows,
            model_version=subject.model_version,
        )
        await target.open()
        yield target
    finally:
        await gateway.close()


async def run_load(
    target: LoadTarget,
    subject: LoadSubject,
    plan: LoadPlan,
    *,
    target_name: str,
    stop: asyncio.Event | None = None,
    on_progress: Callable[[LoadRun], None] | None = None,
) -> LoadReport:
    """Drive the target until the plan is done or `stop` is set, and return the report."""
    run = LoadRun(target, plan)
    running = asyncio.create_task(run.run(on_progress))
    waits = [running]
    if stop is not None:
        waits.append(asyncio.create_task(_wait(stop)))
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            run.stop()
        await running
    finally:
        for task in waits:
            task.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
    return _report(run, subject, plan, target_name)


async def _wait(stop: asyncio.Event) -> None:
    await stop.wait()


def _report(run: LoadRun, subject: LoadSubject, plan: LoadPlan, target_name: str) -> LoadReport:
    tally = run.tally
    seconds = max(run.last_s - run.started_s, 1e-9)
    failed = tally.errors.total()
    return LoadReport(
        model_name=subject.model_name,
        target=target_name,
        format=subject.body_format,
        rows=subject.rows,
        rate_wanted_per_s=plan.rate_per_s,
        concurrency=plan.concurrency,
        seconds=round(seconds, 3),
        sent=tally.sent,
        succeeded=tally.succeeded,
        errors=dict(tally.errors.most_common()),
        unfinished=tally.sent + tally.errors["not-sent"] - tally.succeeded - failed,
        error_percent=round(100 * failed / max(1, failed + tally.succeeded), 3),
        sent_per_s=round(tally.sent / seconds, 1),
        succeeded_per_s=round(tally.succeeded / seconds, 1),
        rows_per_s=round(tally.succeeded * subject.rows / seconds, 1),
        latency_ms=tally.latencies(),
        sent_late_ms_max=round(tally.sent_late_s_max * 1e3, 3),
        versions=dict(sorted(tally.versions.items())),
        interrupted=run.interrupted,
    )
