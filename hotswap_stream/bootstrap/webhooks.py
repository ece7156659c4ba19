"""Webhooks: which there are, how far each was told, and their deliveries."""

import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from hotswap_stream.adapters.clock import SystemClock
from hotswap_stream.adapters.kafka.publisher import KafkaPublisher
from hotswap_stream.adapters.kafka.webhook_place import (
    KafkaWebhookPlace,
    WebhookPosition,
    followed_webhooks,
    webhook_positions,
)
from hotswap_stream.application.log.stream import LogStream
from hotswap_stream.application.registry.applied import AppliedRecords
from hotswap_stream.application.registry.fold import AppliedToLog
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.application.registry.tail import TailEntry
from hotswap_stream.application.webhooks.by_command import as_webhook
from hotswap_stream.application.webhooks.commanded import CommandedDeliveries
from hotswap_stream.application.webhooks.deliveries import WebhookDeliveries
from hotswap_stream.application.webhooks.delivery import WebhookDelivery
from hotswap_stream.application.webhooks.listed import ListedWebhook, listed_webhook
from hotswap_stream.application.webhooks.retry import RetryRule
from hotswap_stream.application.webhooks.webhook import Webhook, keys_of, named_keys, webhooks_of
from hotswap_stream.bootstrap.environment import connection, topics
from hotswap_stream.errors import ConfigurationError
from hotswap_stream.settings import Settings

if TYPE_CHECKING:
    from hotswap_stream.adapters.http.webhook_post import HttpWebhookPoster


OF_COMMAND = re.compile(r"-\d+$")


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


def webhooks_by_command(settings: Settings, log: LogStream) -> dict[str, Webhook]:
    """Return the webhooks that the log names, by name, as these settings let them be. Names of the settings' own win.

    Raises:
        ConfigurationError: A setting does not fit.
    """
    keys = {None: keys_of(settings.webhook_secret), **named_keys(settings.webhook_secrets)}
    hosts = tuple(filter(None, (each.strip() for each in (settings.webhook_hosts or "").split(","))))
    own = {webhook.name for webhook in configured_webhooks(settings)}
    return {name: as_webhook(found, keys, hosts) for name, found in log.webhooks.items() if name not in own}


async def webhook_places(settings: Settings, webhooks: Iterable[Webhook] | None = None) -> dict[str, WebhookPosition]:
    """Return how far each webhook was told, by its name; None: those of the settings. The control topics must exist."""
    asked = configured_webhooks(settings) if webhooks is None else webhooks
    groups = {webhook.group(settings.topic_prefix): webhook.name for webhook in asked}
    found = await webhook_positions(connection(settings).client_options(), topics(settings).registry, groups)
    return {groups[group]: position for group, position in found.items()}


async def listed_webhooks(settings: Settings, log: LogStream) -> list[ListedWebhook]:
    """Return all webhooks that the log names, the settings here name, or agents follow. LogUnavailableError.

    The control topics must exist.
    """
    own, prefix = configured_webhooks(settings), Webhook(name="", url="", keys=(), event_patterns=())
    start = prefix.group(settings.topic_prefix)
    options, topic = connection(settings).client_options(), topics(settings).registry
    by_command = {name: as_webhook(found, {}, ()) for name, found in log.webhooks.items()}
    groups = {webhook.group(settings.topic_prefix): webhook for webhook in (*by_command.values(), *own)}
    others = [
        group
        for group in await followed_webhooks(options, start)
        # What ends in an offset was set by a command and removed.
        if group not in groups and not OF_COMMAND.search(group)
    ]
    places = await webhook_positions(options, topic, (*groups, *others))
    listed = [
        listed_webhook(webhook.name, places[group], webhook, log.webhooks.get(webhook.name))
        for group, webhook in groups.items()
    ]
    return [*listed, *(listed_webhook(group.removeprefix(start), places[group]) for group in others)]


@asynccontextmanager
async def webhook_deliveries(
    settings: Settings, registry: Registry, *, rule: RetryRule | None = None
) -> AsyncIterator[WebhookDeliveries]:
    """Open the deliveries of the events that a registry will fold; they are not begun.

    Args:
        settings: Name webhooks, and what those that the log names may do.
        registry: It is not started yet.
        rule: When to try again; None: as the settings say.
    """
    found, names = configured_webhooks(settings), topics(settings)
    webhooks_by_command(settings, LogStream())  # a wrong setting is told at the start
    options, applied = connection(settings).client_options(), AppliedRecords(registry)
    async with webhook_poster(settings) as poster, KafkaPublisher(options) as publisher:

        def delivery_to(webhook: Webhook) -> WebhookDelivery:
            return WebhookDelivery(
                webhook,
                partial(KafkaWebhookPlace, options, names.registry, webhook.group(names.prefix)),
                poster,
                applied,
                publisher,
                names.dead_letters,
                clock=SystemClock(),
                rule=rule or RetryRule(seconds_max=settings.webhook_retry_seconds_max),
            )

        by_command = CommandedDeliveries(lambda: webhooks_by_command(settings, registry.fold.log), delivery_to)

        def heed(entry: TailEntry) -> None:
            if isinstance(entry.outcome, AppliedToLog):
                by_command.changed()

        registry.listen(heed)
        deliveries = WebhookDeliveries([delivery_to(webhook) for webhook in found], by_command)
        try:
            yield deliveries
        finally:
            await deliveries.end()
