"""`loadtest`: put load on a model by topic or by HTTP, and report what came of it."""

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hotswap_stream.cli.terminal.options import AsJson, ModelArgument
from hotswap_stream.cli.terminal.printing import print_facts, print_json, print_table, refuse
from hotswap_stream.cli.terminal.running import FAILED, run
from hotswap_stream.cli.terminal.signals import stop_on_signals

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from hotswap_stream.client.load.drive import LoadPlan, LoadTarget
    from hotswap_stream.client.load.session import LoadSubject
    from hotswap_stream.client.load.tally import LoadReport
    from hotswap_stream.settings import Settings

CONCURRENCY = 16
SECONDS = 10.0

FormatName = Literal["json", "msgpack", "binary"]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("loadtest")(loadtest)


def loadtest(
    model: ModelArgument,
    http: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Ask this server over HTTP instead of the topics.", show_default=False),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            help="Requests per second, however slow the answers are; latency counts from when each request was due.",
            min=0.001,
            max=1_000_000,
            show_default=False,
        ),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(
            help=f"Number of requests at once, each sent when one is answered. Default without --rate: {CONCURRENCY}.",
            min=1,
            max=100_000,
            show_default=False,
        ),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(help=f"How long. Default without --requests: {SECONDS:g}.", min=0.1, show_default=False),
    ] = None,
    requests: Annotated[
        int | None, typer.Option(help="Number of requests; then the test ends.", min=1, show_default=False)
    ] = None,
    rows: Annotated[int, typer.Option(help="Rows of each request.", min=1, max=1_024)] = 1,
    body_format: Annotated[
        FormatName | None,
        typer.Option("--format", help="Default: msgpack by topic, binary over HTTP.", show_default=False),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Rows to send, as .npy or .npz. Default: made up to fit the model.", show_default=False
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the rows that are made up.")] = 0,
    keys: Annotated[
        int,
        typer.Option(
            help="Number of routing keys to spread requests over; by topic, 0 means 100 series for a model that takes "
            "windows.",
            min=0,
            max=1_000_000,
        ),
    ] = 0,
    model_version: Annotated[
        str | None, typer.Option(help="Ask this version, whether it is in production or not.", show_default=False)
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for an answer.", min=0.01, max=3_600)] = 10.0,
    in_flight_max: Annotated[int, typer.Option(help="Requests in flight at most.", min=1, max=100_000)] = 1_024,
    errors_max_percent: Annotated[
        float, typer.Option(help="Exit code 1 if there are more errors than this.", min=0, max=100)
    ] = 0.0,
    api_key: Annotated[
        str | None, typer.Option(help="API key for the HTTP server. Default: HOTSWAP_API_KEY.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put load on a model: at a rate (open loop) or with a concurrency (closed loop); Ctrl-C ends it early."""
    if rate is not None and concurrency is not None:
        raise typer.BadParameter("--rate and --concurrency exclude each other")
    if body_format == ("msgpack" if http else "binary"):
        raise typer.BadParameter("msgpack is for topics, binary for HTTP", param_hint="--format")
    chosen_format: FormatName = body_format or ("binary" if http else "msgpack")

    async def main(settings: "Settings") -> "LoadReport":
        from hotswap_stream.cli.loadtest.progress import showing_progress
        from hotswap_stream.client.load.drive import LoadPlan
        from hotswap_stream.client.load.session import LoadSubject, load_by_http, run_load

        plan = LoadPlan(
            rate_per_s=rate,
            concurrency=(concurrency or CONCURRENCY) if rate is None else None,
            seconds=SECONDS if seconds is None and requests is None else seconds,
            requests=requests,
            timeout_s=timeout,
            in_flight_max=in_flight_max,
        )
        subject = LoadSubject(
            model_name=model,
            model_version=model_version,
            rows=rows,
            body_format=chosen_format,
            data=data,
            seed=seed,
            keys=keys,
        )
        stop = stop_on_signals()
        opened = (
            _load_by_topic(settings, subject, plan)
            if http is None
            else load_by_http(http, subject, plan, api_key or settings.api_key)
        )
        async with opened as target:
            with showing_progress(plan) as on_progress:
                return await run_load(
                    target, subject, plan, target_name=http or "topics", stop=stop, on_progress=on_progress
                )

    report = run(main, needs_cluster=http is None)
    if as_json:
        print_json(report)
    else:
        print_report(report)
    if report.error_percent > errors_max_percent:
        raise typer.Exit(FAILED)


@asynccontextmanager
async def _load_by_topic(settings: "Settings", subject: "LoadSubject", plan: "LoadPlan") -> "AsyncIterator[LoadTarget]":
    from hotswap_events.commands import Refusal
    from hotswap_stream import bootstrap
    from hotswap_stream.application.registry.queries import find_model, find_version
    from hotswap_stream.client.load.model_inputs import inputs_of_manifest
    from hotswap_stream.client.load.session import load_by_topic, with_windows
    from hotswap_stream.errors import HotswapError

    async with bootstrap.open_registry(settings) as registry:
        streams, name = registry.fold.streams, subject.model_name
        refusal = (
            find_model(streams, name)
            if subject.model_version is None
            else find_version(streams, name, subject.model_version)
        )
        if isinstance(refusal, Refusal):
            raise refuse(refusal)
        state = streams[name].state
        version = state.active if subject.model_version is None else state.versions[subject.model_version]
        if version is None:
            raise HotswapError(f"model {name!r} has no active version; promote one, or give --model-version")
    artifact = await bootstrap.artifact_store(settings).fetch(version.artifact.digest)
    if artifact.manifest.window is not None:
        subject = with_windows(subject)
    gateway = bootstrap.inference_gateway(settings, in_flight_max=plan.in_flight_max)
    async with load_by_topic(gateway, inputs_of_manifest(artifact.manifest), subject, plan) as target:
        yield target


def print_report(report: "LoadReport") -> None:
    """Print the report for people."""
    latency = report.latency_ms
    asked = (
        f"{report.rate_wanted_per_s:g} requests/s" if report.concurrency is None else f"{report.concurrency} at once"
    )
    print_facts(
        {
            "asked": f"{report.model_name} by {report.target}, {report.format}, {report.rows} rows each, {asked}",
            "time": f"{report.seconds:.1f} s" + (" (interrupted)" if report.interrupted else ""),
            "sent": f"{report.sent} ({report.sent_per_s:,.0f}/s)",
            "answers": f"{report.succeeded} ({report.succeeded_per_s:,.0f}/s, {report.rows_per_s:,.0f} rows/s)",
            "by version": report.versions,
            "errors": ", ".join(f"{kind}: {count}" for kind, count in report.errors.items()) or "none",
            "error percent": report.error_percent if report.errors else None,
            "unfinished": report.unfinished or None,
            "sent late by at most": f"{report.sent_late_ms_max:.1f} ms" if report.concurrency is None else None,
        }
    )
    if latency is not None:
        print_table(
            ("latency", "p50", "p90", "p99", "p99.9", "max", "mean"),
            [("ms", latency.p50, latency.p90, latency.p99, latency.p999, latency.max, latency.mean)],
        )
