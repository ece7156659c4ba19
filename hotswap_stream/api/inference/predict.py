"""Predictions without a protocol: nested lists in, scores and labels out."""

from typing import Any

from litestar import Request, post
from litestar.params import JSONBody
from msgspec import Struct

from hotswap_events.inference.messages import InferRequest, InferTensor
from hotswap_stream.api.access.scopes import check_model, needs
from hotswap_stream.api.commands.answers import QUERY_PROBLEM_RESPONSES
from hotswap_stream.api.inference.asking import ask, in_flight, manifest_of, servable
from hotswap_stream.api.inference.request_headers import beside_of, check_content
from hotswap_stream.api.protocol.problems import ProblemError
from hotswap_stream.api.runtime import ApiRuntime, Runtime
from hotswap_stream.application.inference.tensor_values import flat_values, flatten, nest, shape_of


class PredictBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Data for one model with one input."""

    data: list[Any]
    """One row or a batch of rows, as nested lists of the shape the model takes."""
    model_name: str | None = None
    """May be left out where there is only one model."""
    model_version: str | None = None
    """This version must answer, in production or not; else the one in production does."""


class RowPrediction(Struct, frozen=True, kw_only=True):
    """The prediction for one row."""

    label: int
    """Index of the highest score."""
    scores: list[float]
    """The model's first output, as it is: logits stay logits."""


class Prediction(Struct, frozen=True, kw_only=True):
    """The predictions for all rows, and what gave them."""

    model_name: str
    model_version: str
    predictions: tuple[RowPrediction, ...]
    artifact_digest: str | None
    registry_offset: int | None
    """Offset of the registry event that put the version into production."""
    compute_ms: float | None


@post(
    "/api/predict",
    status_code=200,
    operation_id="predict",
    opt=needs("infer", any_model=True),
    tags=["inference"],
    responses=QUERY_PROBLEM_RESPONSES,
)
async def predict(request: Request[Any, Any, Any], runtime: Runtime, data: JSONBody[PredictBody]) -> Prediction:
    """Scores and label of each row, by the version in production or the one named."""
    check_content(request, ("application/json",))
    with in_flight(request, runtime):
        model_name = data.model_name or _only_model(runtime)
        check_model(request, model_name)
        manifest = await manifest_of(runtime, servable(runtime, model_name, data.model_version))
        if len(manifest.inputs) != 1:
            raise ProblemError(400, "wrong-input", f"the model has {len(manifest.inputs)} inputs; ask it under /v2")
        spec = manifest.inputs[0]
        try:
            shape = shape_of(data.data)
        except ValueError as error:
            raise ProblemError(400, "wrong-input", f"data: {error}") from error
        if not spec.fits(shape) and spec.fits((1, *shape)):
            shape = (1, *shape)
        tensor = InferTensor(name=spec.name, shape=list(shape), datatype=spec.datatype, data=flatten(data.data))
        beside = beside_of(request, data.model_version)
        answer = await ask(runtime, model_name, InferRequest(inputs=[tensor]), raw=True, beside=beside)
    return Prediction(
        model_name=answer.model_name,
        model_version=answer.model_version,
        predictions=_rows(answer.outputs[0]),
        artifact_digest=answer.parameters.artifact_digest,
        registry_offset=answer.parameters.registry_offset,
        compute_ms=answer.parameters.compute_ms,
    )


def _only_model(runtime: ApiRuntime) -> str:
    names = sorted(runtime.registry.fold.streams)
    if len(names) != 1:
        raise ProblemError(
            400,
            "invalid-value",
            f"there are {len(names)} models; model_name must say which one",
            legal=tuple(names[:100]),
        )
    return names[0]


def _rows(output: InferTensor) -> tuple[RowPrediction, ...]:
    if output.datatype == "BYTES":
        raise ProblemError(400, "wrong-input", "the model returns texts, which are no scores; ask it under /v2")
    values, rows = flat_values(output), output.shape[0] if output.shape else 1
    scores = nest(values, [rows, len(values) // max(rows, 1)])
    return tuple(RowPrediction(label=max(range(len(row)), key=row.__getitem__), scores=row) for row in scores if row)
