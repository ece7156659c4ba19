"""What an MLflow server tells by its webhooks: versions are imported, and the alias that means production promotes."""

import uuid
from typing import Annotated, Any

import msgspec
from litestar import Request, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter
from msgspec import Meta, Struct

from hotswap_events.commands import PromoteVersion, Refusal, SetAlias
from hotswap_stream.api.access.scopes import PUBLIC
from hotswap_stream.api.commands.context import CommandHeaders
from hotswap_stream.api.mlflow.asking import sent, stream_of, version_of
from hotswap_stream.api.mlflow.bodies import CreateVersion
from hotswap_stream.api.mlflow.creating import created
from hotswap_stream.api.protocol.problems import Problem, ProblemError
from hotswap_stream.api.runtime import ApiRuntime, Runtime
from hotswap_stream.application.mlflow.deliveries import Delivery, DeliveryRefusedError
from hotswap_stream.application.mlflow.versions import version_named
from hotswap_stream.errors import HotswapError

ACTOR = "mlflow-webhook"
_COMMANDS = uuid.UUID("0f0c1f4e-5f0e-4c59-a4a8-1f3a5a6d2b7e")

_Name = Annotated[str, Meta(min_length=1, max_length=256)]


class _NewVersion(Struct):
    name: _Name
    version: _Name
    source: str
    run_id: str | None = None
    tags: dict[str, str] | None = None
    description: str | None = None


class _Alias(Struct):
    name: _Name
    alias: _Name
    version: _Name | None = None


class Received(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of a delivery."""

    done: str
    """`imported`, `promoted`, `alias`, or `nothing`, for what this registry does not follow."""
    model_version: str | None = None


@post(
    "/api/mlflow/webhooks",
    opt=PUBLIC,
    status_code=200,
    operation_id="mlflow_webhook",
    tags=["mlflow"],
    # The signature is what lets it in; MLflow sends no key.
    security=[{}],
    responses={
        401: ResponseSpec(Problem, generate_examples=False, description="The signature is not that of the secret"),
        404: ResponseSpec(Problem, generate_examples=False, description="No webhooks are taken here, or no such model"),
        409: ResponseSpec(Problem, generate_examples=False, description="Refused; `legal` lists what would be legal"),
        413: ResponseSpec(Problem, generate_examples=False, description="The body is too large"),
    },
)
async def receive_webhook(
    request: Request[Any, Any, Any],
    runtime: Runtime,
    delivery_id: Annotated[str | None, HeaderParameter(name="X-MLflow-Delivery-Id")] = None,
    timestamp: Annotated[str | None, HeaderParameter(name="X-MLflow-Timestamp")] = None,
    signature: Annotated[str | None, HeaderParameter(name="X-MLflow-Signature")] = None,
) -> Received:
    """Follow an MLflow registry: its webhooks on model_version.created and model_version_alias.* are sent here.

    A version is imported and registered under its number; the alias that means production promotes it, through all
    gates. Each delivery applies once; one that failed for the moment may be sent again.
    """
    deliveries = runtime.mlflow_deliveries
    if deliveries is None:
        raise ProblemError(404, "not-found", "no webhooks are taken here: HOTSWAP_MLFLOW_WEBHOOK_SECRET is not set")
    try:
        delivery = deliveries.checked(
            delivery_id=delivery_id,
            timestamp=timestamp,
            signature=signature,
            body=await request.body(),
            now_s=runtime.services.clock.now().timestamp(),
        )
    except DeliveryRefusedError as error:
        raise ProblemError(401, "unauthorized", str(error)) from None
    assert delivery_id is not None  # noqa: S101 - it was checked
    try:
        answer = await _done(runtime, delivery, delivery_id)
    except (ProblemError, HotswapError) as error:
        if not _may_succeed(error):
            deliveries.take(delivery_id, runtime.services.clock.now().timestamp())
        raise
    deliveries.take(delivery_id, runtime.services.clock.now().timestamp())
    return answer


def _may_succeed(error: ProblemError | HotswapError) -> bool:
    """Return whether the same delivery may be done later."""
    return error.status >= 500 if isinstance(error, ProblemError) else error.retriable


async def _done(runtime: ApiRuntime, delivery: Delivery, delivery_id: str) -> Received:
    headers = CommandHeaders(actor=ACTOR, actor_by="signature", idempotency_key=str(uuid.uuid5(_COMMANDS, delivery_id)))
    try:
        match delivery.entity, delivery.action:
            case "model_version", "created":
                new = msgspec.convert(delivery.data, _NewVersion)
                return Received(done="imported", model_version=await _imported(runtime, headers, new))
            case "model_version_alias", "created" | "deleted":
                alias = msgspec.convert(delivery.data, _Alias)
                return await _aliased(runtime, headers, alias, there=delivery.action == "created")
    except msgspec.ValidationError as error:
        raise ProblemError(422, "invalid-value", f"the delivery cannot be read: {error}") from None
    return Received(done="nothing")


async def _imported(runtime: ApiRuntime, headers: CommandHeaders, new: _NewVersion) -> str:
    asked = msgspec.convert(
        {
            "name": new.name,
            "source": new.source,
            "run_id": new.run_id or None,
            "tags": [{"key": key, "value": value} for key, value in (new.tags or {}).items()],
            "description": new.description or "",
        },
        CreateVersion,
    )
    # Whoever sets the alias at once is heard before the import has ended.
    return await runtime.mlflow_followed.result(
        (new.name, new.version), lambda: created(runtime, headers, asked, model_version=f"v{new.version}")
    )


async def _aliased(runtime: ApiRuntime, headers: CommandHeaders, alias: _Alias, *, there: bool) -> Received:
    production = alias.alias == runtime.services.mlflow_production_alias
    if not there or alias.version is None:
        if production:
            # Whoever takes the alias away there does not say what should answer instead.
            return Received(done="nothing")
        await sent(runtime, headers, SetAlias, alias.name, alias=alias.alias)
        return Received(done="alias")
    stream = runtime.registry.fold.streams.get(alias.name)
    if stream is None or isinstance(version_named(stream.state, alias.version), Refusal):
        # Its delivery is still under way, or was lost.
        await _imported(
            runtime,
            CommandHeaders(actor=ACTOR, actor_by="signature"),
            _NewVersion(name=alias.name, version=alias.version, source=f"models:/{alias.name}/{alias.version}"),
        )
    name = version_of(stream_of(runtime, alias.name), alias.version).model_version
    if production:
        await sent(runtime, headers, PromoteVersion, alias.name, model_version=name)
        return Received(done="promoted", model_version=name)
    await sent(runtime, headers, SetAlias, alias.name, alias=alias.alias, model_version=name)
    return Received(done="alias", model_version=name)
