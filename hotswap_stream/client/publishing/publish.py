"""`publish`: convert, compare, upload, register, and say what came of it."""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack
from functools import wraps
from typing import Any, Literal, ParamSpec, TypeVar

from msgspec import Struct

from hotswap_events.registry.version_options import F32, VersionOptions
from hotswap_stream.application.artifacts.publishing import (
    Progress,
    PublishTarget,
    Registration,
    VersionStanding,
)
from hotswap_stream.client.publishing.differences import Difference
from hotswap_stream.client.publishing.errors import PublishError
from hotswap_stream.client.publishing.http_target import http_target
from hotswap_stream.client.publishing.progress_bar import showing_progress
from hotswap_stream.client.publishing.wishes import Wishes
from hotswap_stream.domain.versions.options import wrong_options

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

Wait = Literal["registered", "verdict", "active"]
WAIT_SECONDS_MAX = 600.0
POLL_SECONDS = 0.5
NOTHING: Mapping[str, Any] = {}


class Published(Struct, frozen=True, kw_only=True):
    """A version that is registered, and what was seen on the way."""

    model_name: str
    model_version: str
    artifact_digest: str
    status: str
    """`registered`; where it was waited for more: `passed` or `failed`, the verdict, or `active`."""
    differences: tuple[Difference, ...] = ()
    """How far each output of the graph is off the model's, over the example; empty where nothing was compared."""
    label_agreement: float | None = None
    """Share of the example's rows, 0 to 1, whose labels are the model's."""
    warnings: tuple[str, ...] = ()


async def publish_async(
    model: Any,
    name: str,
    *,
    example: Any = None,
    labels: Sequence[str] | None = None,
    metrics: Mapping[str, float] = NOTHING,
    tags: Mapping[str, str] = NOTHING,
    version: str | None = None,
    executor: str | None = None,
    precision: str = F32,
    wait: Wait = "registered",
    wait_seconds_max: float = WAIT_SECONDS_MAX,
    url: str | None = None,
    api_key: str | None = None,
    to: AbstractAsyncContextManager[PublishTarget] | None = None,
    compare: bool = True,
    difference_max: float | None = None,
    label_agreement_min: float = 1.0,
    free: Mapping[str, Sequence[int]] = NOTHING,
    warm_up: Mapping[str, Sequence[int]] = NOTHING,
    batching: Literal["rows", "request"] | None = None,
    allow_non_finite: bool | None = None,
    trust_file: bool = False,
    beside: Mapping[str, str | os.PathLike[str]] = NOTHING,
    code_revision: str | None = None,
    data_snapshot: str | None = None,
    run_id: str | None = None,
    reason: str | None = None,
    command_id: str | None = None,
    progress: bool | Progress = True,
) -> Published:
    """Publish a model: make a graph of it, compare the two, upload, and register it as a version.

    The model is converted here, where it was made; what must be unpickled goes nowhere. The graph is run on the example
    beside the model, and refused where it answers otherwise: a number may be off by 1e-4 of the largest in its output
    (1e-6 where the graph computes with 64 bits), and labels must agree, but for rows whose two highest scores are as
    good as equal. What was found stands in the version's metrics and tags.

    Args:
        model: A fitted estimator or pipeline of scikit-learn, a booster or an estimator of XGBoost or LightGBM, a torch
            module or exported program, an onnx ModelProto, or the bytes or the path of an ONNX graph or an artifact.
        name: Of the model whose version it becomes.
        example: Rows of the data it was made for, a few hundred at best. A DataFrame gives an input for each column, an
            array one input `x`; for torch a tensor, a tuple, or a mapping by the names of the inputs.
        labels: Names of the classes that the columns of the scores stand for. Default: those that the model knows.
        metrics: Figures of the training.
        tags: What else to say of it.
        version: Name of the version. Default: the next `v<n>`.
        executor: The only one that may compute the version, such as `onnxruntime` or `openvino`. Default: the fastest
            whose outputs are right.
        precision: `f32`, or `bf16`, whose results differ: the same model with another precision is another version.
        wait: Until it is `registered`; until an evaluation has its `verdict`; or until it is `active`, or failed.
        wait_seconds_max: How long to wait for a verdict or for activation; then `status` says how far it came.
        url: Of the API.
        api_key: Of the API, where it asks for one.
        to: Instead of a URL, such as `bootstrap.store_target(settings, "ada")`: straight to the store.
        compare: False: do not compare. Then the example may be missing, where the model says what it takes.
        difference_max: How far a number may be off, as a part of the largest number in its output.
        label_agreement_min: Share of the rows whose labels must agree, 0 to 1.
        free: Of a torch module, input → dimensions, beside the first, that may have any size.
        warm_up: Input → a usual shape, where sizes are free. Default: that of a row of the example.
        batching: `rows`: requests share a pass; `request`: they do not. Default: found out.
        allow_non_finite: Whether NaN and infinity may go in and come out. Default: whether the example has any.
        trust_file: Open the file of an exported torch program (.pt2), which can run any code on this machine.
        beside: Name → path of files that belong to the version, such as a tokenizer for those who ask it: under its
            digest, and in its export.
        code_revision: Revision of the training code.
        data_snapshot: Digest of the training data.
        run_id: The training run it came from.
        reason: Kept in the log.
        command_id: Registered with the same id, it is registered once.
        progress: True: show a bar on a terminal. A function is called with the bytes that are sent, and all there are.

    Returns:
        The version, the largest differences, and warnings.

    Raises:
        PublishError: It cannot be converted, or its graph answers otherwise; the message says what would do.
        RefusedError: The API says no.
        ApiUnreachableError: The API does not answer.
        HotswapError: It cannot be served, or its file is of a kind that is never opened.
    """
    _check_wishes(url, to, difference_max, label_agreement_min)
    options = VersionOptions(executor=executor, precision=precision)
    if wrong := wrong_options(options):
        raise PublishError(wrong)
    from hotswap_stream.client.publishing.choosing import missing

    try:
        from hotswap_stream.client.publishing.preparing import prepared

        wishes = Wishes(
            example=example,
            labels=labels,
            compare=compare,
            difference_max=difference_max,
            label_agreement_min=label_agreement_min,
            free=free,
            warm_up=warm_up,
            batching=batching,
            allow_non_finite=allow_non_finite,
            trust_file=trust_file,
            beside=beside,
        )
        with ExitStack() as stack:
            made = await asyncio.to_thread(lambda: stack.enter_context(prepared(model, wishes)))
            target = to if to is not None else http_target(url or "", api_key)
            async with target as opened:
                with showing_progress(progress) as tell:
                    stored = await opened.store_model(made.file, made.beside, made.options, tell)
                comparison = made.comparison
                registered = await opened.register(
                    Registration(
                        model_name=name,
                        model_version=version,
                        artifact_digest=stored.artifact_digest,
                        metrics={**({} if comparison is None else comparison.metrics()), **metrics},
                        tags={**made.tags, **tags},
                        environment=made.environment,
                        options=options,
                        code_revision=code_revision,
                        data_snapshot=data_snapshot,
                        run_id=run_id,
                        reason=reason,
                        command_id=command_id,
                    )
                )
                status = await _followed(opened, name, registered, wait, wait_seconds_max)
    except ModuleNotFoundError as error:
        raise missing(error) from error
    return Published(
        model_name=name,
        model_version=registered,
        artifact_digest=stored.artifact_digest,
        status=status,
        differences=() if comparison is None else comparison.differences,
        label_agreement=None if comparison is None else comparison.label_agreement,
        warnings=(*made.warnings, *stored.warnings),
    )


def _check_wishes(url: str | None, to: object, difference_max: float | None, label_agreement_min: float) -> None:
    if (url is None) == (to is None):
        raise PublishError(
            "say where to publish: url='http://127.0.0.1:8000', or to=… for the store itself; one of them"
        )
    if difference_max is not None and not difference_max >= 0:
        raise PublishError(f"difference_max is {difference_max}; a number from 0 is needed")
    if not 0 <= label_agreement_min <= 1:
        raise PublishError(f"label_agreement_min is {label_agreement_min}; a share from 0 to 1 is needed")


async def _followed(target: PublishTarget, model_name: str, model_version: str, wait: Wait, seconds_max: float) -> str:
    """Return how far the version came, when it has come far enough, or the time is over."""
    status = "registered"
    if wait == "registered":
        return status
    deadline = asyncio.get_running_loop().time() + seconds_max
    while True:
        status = _status(await target.standing(model_name, model_version))
        ended = status in ("active", "failed", "archived")
        if ended or (wait == "verdict" and status == "passed") or asyncio.get_running_loop().time() >= deadline:
            return status
        await asyncio.sleep(POLL_SECONDS)


def _status(standing: VersionStanding) -> str:
    if standing.stage == "production":
        return "active"
    return standing.verdict or ("archived" if standing.stage == "archived" else "registered")


def _blocking(call: Callable[Parameters, Coroutine[Any, Any, Result]]) -> Callable[Parameters, Result]:
    """Return the same function without `async`. It runs in a thread of its own, since notebooks have a loop running."""

    @wraps(call)
    def blocking(*args: Parameters.args, **options: Parameters.kwargs) -> Result:
        outcome: list[Result] = []
        failure: list[BaseException] = []
        loop = asyncio.new_event_loop()
        task = loop.create_task(call(*args, **options))

        def run() -> None:
            try:
                outcome.append(loop.run_until_complete(task))
            except BaseException as error:  # noqa: BLE001 - raised again below, in the caller's thread
                failure.append(error)
            finally:
                loop.run_until_complete(loop.shutdown_default_executor())
                loop.close()

        thread = threading.Thread(target=run, name="hotswap-publish")
        thread.start()
        try:
            thread.join()
        except BaseException:
            loop.call_soon_threadsafe(task.cancel)
            thread.join()
            raise
        if failure:
            raise failure[0]
        return outcome[0]

    return blocking


publish = _blocking(publish_async)
"""`publish_async` for scripts and notebooks: the same arguments, result and errors."""
