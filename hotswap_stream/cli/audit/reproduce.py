"""`audit reproduce`: one answer computed again from the log."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hotswap_stream.cli.terminal.options import AsJson, ModelArgument
from hotswap_stream.cli.terminal.printing import print_json, print_table
from hotswap_stream.cli.terminal.running import FAILED, run

if TYPE_CHECKING:
    from hotswap_events.inference.messages import InferResponse
    from hotswap_stream.application.audit.reproduce import Reproduction
    from hotswap_stream.settings import Settings


@dataclass(frozen=True, kw_only=True)
class ChosenBy:
    """The registry event that chose the version, and what the log says of it up to there."""

    registry_offset: int
    versions_allowed: tuple[str, ...]
    """Versions that might answer in that state."""
    artifact_digest: str | None
    """Digest of the version's artifact, as registered; None if the version was not."""
    graph_digest: str | None = None
    """Digest of the graph of its architecture; None if none was exported."""
    executor: str | None
    """The only one that may compute the version, as registered; None if any may."""
    precision: str
    """As registered."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What `audit reproduce` found."""

    model_name: str
    model_version: str
    chosen_by: ChosenBy
    follows_the_log: bool
    """Whether the log says the same of version, artifact, executor and precision as the answer."""
    equal: bool
    reproduction: "Reproduction"


def reproduce(
    model: ModelArgument,
    partition: Annotated[int | None, typer.Option(help="Partition of the request.", min=0, show_default=False)] = None,
    offset: Annotated[
        int | None, typer.Option(help="Offset of the request in its partition.", min=0, show_default=False)
    ] = None,
    request_id: Annotated[
        str | None,
        typer.Option(
            "--id", help="Id of the request instead; found among the newest answers only.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compute one answer again from the log: the request, the weights, the batch size; exit code 1 if it differs."""
    if request_id is None and partition is not None and offset is not None:
        place = partition, offset
        finding = run(lambda settings: _reproduce(settings, model, *place))
    elif request_id is not None and partition is None and offset is None:
        wanted = request_id
        finding = run(lambda settings: _reproduce_by_id(settings, model, wanted))
    else:
        raise typer.BadParameter("say which answer: --partition and --offset of its request, or --id of the request")
    if as_json:
        print_json(finding)
    else:
        _print(finding)
    if not (finding.equal and finding.follows_the_log):
        raise typer.Exit(FAILED)


async def _reproduce_by_id(settings: "Settings", model: str, request_id: str) -> Finding:
    """Find the answer by its request's id, among the newest ones, and compute it again."""
    from hotswap_stream import bootstrap
    from hotswap_stream.application.audit.reproduce import NotReproducibleError

    async with bootstrap.answer_lookup(settings) as lookup:
        answer = await lookup.by_id(model, request_id)
    if answer is None:
        raise NotReproducibleError(
            f"no answer to a request {request_id!r} is among the newest ones of {model!r}; an answer says where its "
            "request is: --partition and --offset"
        )
    return await _reproduce(settings, model, answer.request_partition, answer.request_offset)


async def _reproduce(settings: "Settings", model: str, partition: int, offset: int) -> Finding:
    from hotswap_events.registry.version_options import F32
    from hotswap_stream import bootstrap
    from hotswap_stream.application.audit.reproduce import ExchangeNotFoundError, NotReproducibleError
    from hotswap_stream.application.audit.reproduce import reproduce as compute_again

    try:
        recorded = await bootstrap.recorded_answer(settings, model, partition=partition, offset=offset)
    except ExchangeNotFoundError as error:
        raise ExchangeNotFoundError(f"{error}; {await _kept(settings, model)}") from error
    response = recorded.response
    facts = response.parameters
    digest, executor, padded = facts.artifact_digest, facts.executor, facts.padded_batch_size
    if digest is None or executor is None or padded is None or facts.registry_offset is None:
        raise NotReproducibleError("the answer does not say which artifact, executor and batch size computed it")
    manifest = (await bootstrap.artifact_store(settings).fetch(digest)).manifest
    if manifest.window is not None:
        raise NotReproducibleError("the model keeps a window per key; an answer depends on the requests before it")
    chosen_by = await _chosen_by(settings, response)
    precision = facts.precision or F32
    loader = bootstrap.exact_loader(settings)
    try:
        reproduction = await compute_again(
            loader,
            artifact_digest=digest,
            executor=executor,
            precision=precision,
            padded_batch_size=padded,
            inputs=recorded.inputs(manifest),
            answered=_outputs(response),
            graph_digest=chosen_by.graph_digest,
        )
    finally:
        loader.close()
    return Finding(
        model_name=response.model_name,
        model_version=response.model_version,
        chosen_by=chosen_by,
        follows_the_log=(facts.pinned or response.model_version in chosen_by.versions_allowed)
        and chosen_by.artifact_digest == digest
        and chosen_by.precision == precision
        and chosen_by.executor in (None, executor),
        equal=reproduction.equal,
        reproduction=reproduction,
    )


async def _kept(settings: "Settings", model: str) -> str:
    """Return how far back answers can be computed again."""
    from hotswap_events.dataset import RequestRetention
    from hotswap_stream import bootstrap
    from hotswap_stream.application.descriptions.dataset import retention_text

    async with bootstrap.open_registry(settings) as registry:
        kept = registry.state(model).request_retention
    return f"requests and answers of {model} are kept for {retention_text(kept or RequestRetention())}"


def _outputs(response: "InferResponse") -> dict[str, Any]:
    from hotswap_stream.client.tensors import output_value

    return {tensor.name: output_value(tensor) for tensor in response.outputs}


async def _chosen_by(settings: "Settings", response: "InferResponse") -> ChosenBy:
    from hotswap_events.registry.version_options import PLAIN
    from hotswap_stream import bootstrap
    from hotswap_stream.application.registry.as_of import RegistryAsOf
    from hotswap_stream.domain.serving.request_plan import versions_allowed

    registry_offset = response.parameters.registry_offset or 0
    async with bootstrap.open_registry(settings) as registry:
        streams = await RegistryAsOf(registry.log).at_offset(registry_offset)
    stream = streams.get(response.model_name)
    version = None if stream is None else stream.state.versions.get(response.model_version)
    options = PLAIN if version is None else version.options
    return ChosenBy(
        registry_offset=registry_offset,
        versions_allowed=() if stream is None else tuple(sorted(versions_allowed(stream.state))),
        artifact_digest=None if version is None else version.artifact.digest,
        graph_digest=None if version is None or version.graph is None else version.graph.digest,
        executor=options.executor,
        precision=options.precision,
    )


def _print(finding: Finding) -> None:
    found = finding.reproduction
    precision = "" if found.precision == "f32" else f" in {found.precision}"
    log = "as the log says" if finding.follows_the_log else "AGAINST the log"
    typer.secho(
        f"{finding.model_name} {finding.model_version} ({found.artifact_digest[:19]}…), chosen by registry offset "
        f"{finding.chosen_by.registry_offset}, {log}; {found.executor}{precision}, "
        f"{found.padded_batch_size} rows a pass",
        fg=None if finding.follows_the_log else "red",
    )
    if finding.equal:
        typer.secho("equal, bit for bit", fg="green")
        return
    print_table(
        ("output", "numbers", "differ", "by at most", "in steps"),
        (
            (d.output, d.elements, d.differing, f"{d.abs_max:g}", "-" if d.ulp_max is None else d.ulp_max)
            for d in found.differences
        ),
    )
    typer.secho("not equal", err=True, fg="red")
