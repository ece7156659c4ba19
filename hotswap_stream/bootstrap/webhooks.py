"""Webhooks: which there are, how far each was told, and their deliveries."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from hotswap_stream.adapters.clock import SystemClock
from hotswap_stream.adapters.kafka.publisher import KafkaPublisher
from hotswap_stream.adapters.kafka.webhook_place import KafkaWebhookPlace, WebhookPosition, webhook_positions
from hotswap_stream.application.registry.applied import AppliedRecords
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.application.webhooks.deliveries import WebhookDeliveries
from hotswap_stream.application.webhooks.delivery import WebhookDelivery
from hotswap_stream.application.webhooks.retry import RetryRule
from hotswap_stream.application.webhooks.webhook import Webhook, webhooks_of
from hotswap_stream.bootstrap.environment import connection, topics
from hotswap_stream.errors import ConfigurationError
from hotswap_stream.settings import Settings

if TYPE_CHECKING:
    from hotswap_stream.adapters.http.webhook_post import HttpWebhookPoster


def configured_webhooks(settings: Settings) -> tuple[Webhook, ...]:
    """Return the webhooks of this environment. ConfigurationError if a setting of theirs does not fit."""
    return webhooks_of(
        settings.webhook_urls,
        settings.webhook_secret,
        settings.webhook_events,
        timeout_ms=settings.webhook_timeout_ms,
        retry_seconds_max=settings.webhook_retry_seconds_max,
    )


def webhook_poster(settings: Settings) -> "HttpWebhookPoster":
    """Return what posts to webhooks, for the running event loop.

    Raises:
        ConfigurationError: What the environment says to every HTTP client cannot be used.
    """
    # Here, because httpx takes longer to import than most commands take.
    from hotswap_stream.adapters.http.webhook_post import HttpWebhookPoster

    try:
        return HttpWebhookPoster(timeout_ms=settings.webhook_timeout_ms)
    except (OSError, ValueError, ImportError) as error:
        raise ConfigurationError(
            f"webhooks cannot be posted with what the environment says to every HTTP client ({type(error).__name__}): "
            "SSL_CERT_FILE must name a file, SSL_CERT_DIR a folder, and HTTPS_PROXY, HTTP_PROXY and ALL_PROXY an http "
            "or https URL, where they are set"
        ) from error


async def webhook_places(settings: Settings) -> dict[str, WebhookPosition]:
    """Return how far each webhook was told, by its name. The control topics must exist."""
    groups = {webhook.group(settings.topic_prefix): webhook.name for webhook in configured_webhooks(settings)}
    found = await webhook_positions(connection(settings).client_options(), topics(settings).registry, groups)
    return {groups[group]: position for group, position in found.items()}


@asynccontextmanager
async def webhook_deliveries(
    settings: Settings, registry: Registry, *, rule: RetryRule | None = None
) -> AsyncIterator[WebhookDeliveries]:
    """Open the deliveries of the events that a registry will fold; they are not begun.

    Args:
        settings: Name the webhooks.
        registry: It is not started yet.
        rule: When to try again; None: as the settings say.
    """
    found, names = configured_webhooks(settings), topics(settings)
    if not found:
        yield WebhookDeliveries(())
        return
    options, applied = connection(settings).client_options(), AppliedRecords(registry)
    async with webhook_poster(settings) as poster, KafkaPublisher(options) as publisher:
        deliveries = WebhookDeliveries(
            [
                WebhookDelivery(
                    webhook,
                    partial(KafkaWebhookPlace, options, names.registry, webhook.group(names.prefix)),
                    poster,
                    applied,
                    publisher,
                    names.dead_letters,
                    clock=SystemClock(),
                    rule=rule or RetryRule(seconds_max=settings.webhook_retry_seconds_max),
                )
                for webhook in found
            ]
        )
        try:
            yield deliveries
        finally:
            await deliveries.end()
