"""Webhooks: who is told of events, set and removed without a restart of the agents."""

from typing import Annotated

from litestar import Controller, get, post, put
from litestar.params import JSONBody, PathParameter
from msgspec import Meta, Struct

from hotswap_events.commands import Reason
from hotswap_events.webhooks import WEBHOOK_PATTERNS_MAX
from hotswap_stream.api.access.scopes import needs
from hotswap_stream.api.commands.answers import PROBLEM_RESPONSES, QUERY_PROBLEM_RESPONSES
from hotswap_stream.api.commands.context import Headers
from hotswap_stream.api.protocol.authorization import guard_state_change
from hotswap_stream.api.protocol.broker_away import require_broker
from hotswap_stream.api.protocol.openapi import KEY_OR_NONE
from hotswap_stream.api.protocol.problems import ProblemError
from hotswap_stream.api.runtime import Runtime
from hotswap_stream.application.log.stream import SetWebhook
from hotswap_stream.application.webhooks.by_command import (
    WebhookRefusedError,
    remove_webhook,
    set_webhook,
    webhook_set,
)
from hotswap_stream.application.webhooks.listed import ListedWebhook

NameInPath = Annotated[str, PathParameter(description="Name of the webhook.")]


class WebhookBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to, and which events."""

    url: Annotated[str, Meta(max_length=2_048)]
    """Without a query and without credentials: everybody who may read the log reads it."""
    events: Annotated[tuple[str, ...], Meta(max_length=WEBHOOK_PATTERNS_MAX)] = ()
    """Types of events, with `*` for any characters; none: those of alerts."""
    signed_with: str | None = None
    """Name of the secret, of those in the agents' settings; null: the one without a name."""
    reason: Reason | None = None
    """Why; kept in the log."""


class RemovalBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a webhook is removed."""

    reason: Reason | None = None
    """Kept in the log."""


class WebhookView(Struct, frozen=True, kw_only=True):
    """A webhook that a command set."""

    name: str
    url: str
    events: tuple[str, ...]
    signed_with: str | None
    actor: str
    reason: str | None


class WebhookList(Struct, frozen=True, kw_only=True):
    """Webhooks that commands set. Those of the agents' settings are not among them."""

    webhooks: tuple[WebhookView, ...]


class WebhookDeliveryList(Struct, frozen=True, kw_only=True):
    """All webhooks that the log names, this server's settings name, or agents follow."""

    webhooks: tuple[ListedWebhook, ...]


class WebhookController(Controller):
    """Who is told of events."""

    path = "/api/webhooks"
    tags = ("webhooks",)

    @get("/", operation_id="list_webhooks", responses=QUERY_PROBLEM_RESPONSES)
    async def list_webhooks(self, runtime: Runtime) -> WebhookList:
        """The webhooks that commands set."""
        return WebhookList(webhooks=tuple(map(_view, runtime.registry.fold.log.webhooks.values())))

    @get("/deliveries", operation_id="list_webhook_deliveries", responses=QUERY_PROBLEM_RESPONSES)
    async def list_deliveries(self, runtime: Runtime) -> WebhookDeliveryList:
        """All webhooks with how far the agents told each, and what is wrong where one lags."""
        deliveries = runtime.services.webhook_deliveries
        if deliveries is None:
            raise ProblemError(503, "observations-unknown", "this server was started without a way to the deliveries")
        require_broker(runtime)
        async with runtime.asking_deliveries:  # one at a time: each asks the brokers by connections of its own
            return WebhookDeliveryList(webhooks=tuple(await deliveries(runtime.registry.fold.log)))

    @put(
        "/{name:str}",
        status_code=200,
        operation_id="set_webhook",
        opt=needs("admin"),
        guards=[guard_state_change],
        security=KEY_OR_NONE,
        responses=PROBLEM_RESPONSES,
    )
    async def set_webhook(
        self, runtime: Runtime, command_headers: Headers, name: NameInPath, data: JSONBody[WebhookBody]
    ) -> WebhookView:
        """Have the agents tell a receiver of events from now on. Replaces one of the same name."""
        require_broker(runtime)
        command_id = command_headers.idempotency_key or runtime.services.ids.new_id()
        try:
            found = await set_webhook(
                runtime.registry,
                webhook_set(name, data.url, data.events, data.signed_with),
                actor=command_headers.actor,
                command_id=command_id,
                reason=data.reason,
            )
        except WebhookRefusedError as error:
            raise ProblemError(422, "invalid-value", str(error)) from error
        return _view(found)

    @post(
        "/{name:str}/remove",
        status_code=200,
        operation_id="remove_webhook",
        opt=needs("admin"),
        guards=[guard_state_change],
        security=KEY_OR_NONE,
        responses=PROBLEM_RESPONSES,
    )
    async def remove_webhook(
        self, runtime: Runtime, command_headers: Headers, name: NameInPath, data: JSONBody[RemovalBody]
    ) -> WebhookList:
        """Have the agents tell a receiver of nothing more; the others are returned."""
        require_broker(runtime)
        command_id = command_headers.idempotency_key or runtime.services.ids.new_id()
        try:
            await remove_webhook(
                runtime.registry, name, actor=command_headers.actor, command_id=command_id, reason=data.reason
            )
        except WebhookRefusedError as error:
            raise ProblemError(404, "unknown-webhook", str(error)) from error
        return WebhookList(webhooks=tuple(map(_view, runtime.registry.fold.log.webhooks.values())))


def _view(found: SetWebhook) -> WebhookView:
    data = found.data
    return WebhookView(
        name=data.name,
        url=data.url,
        events=data.event_patterns,
        signed_with=data.signed_with,
        actor=found.actor,
        reason=found.reason,
    )
