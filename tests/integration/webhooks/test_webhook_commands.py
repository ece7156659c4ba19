"""Receivers that are set and removed by commands while the agents run, on the real broker."""

import asyncio
from pathlib import Path

import pytest

from hotswap_events.webhooks import WebhookSet
from hotswap_stream import bootstrap
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.application.webhooks.by_command import WebhookRefusedError, remove_webhook, set_webhook
from hotswap_stream.application.webhooks.listed import ListedWebhook
from hotswap_stream.settings import Settings
from tests.support.stages.serving import open_stage
from tests.support.stages.webhooks import delivering, register, settings_for
from tests.support.webhook_receiver import SECONDS_MAX, SECRET, Receiver

PATTERNS = ("hotswap.model.*",)


async def set_to(registry: Registry, name: str, url: str, signed_with: str | None = None) -> None:
    data = WebhookSet(name=name, url=url, event_patterns=PATTERNS, signed_with=signed_with)
    await set_webhook(registry, data, actor="ada", command_id=f"{name}/{url}/{signed_with}", reason="on call")


async def listed(settings: Settings, registry: Registry) -> dict[str, ListedWebhook]:
    await registry.catch_up()
    return {each.name: each for each in await bootstrap.listed_webhooks(settings, registry.fold.log)}


async def until_followed(settings: Settings, registry: Registry, *names: str) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        found = await listed(settings, registry)
        while any(found[name].next_offset is None for name in names):
            await asyncio.sleep(0.2)
            found = await listed(settings, registry)


async def test_a_receiver_is_told_without_a_restart_and_no_more_when_it_is_removed(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with Receiver() as receiver:
        urls = f"old={receiver.url('/old')}"
        settings = settings_for(kafka, topic_prefix, tmp_path, urls, webhook_hosts="127.0.0.1,localhost")
        async with open_stage(settings) as stage, delivering(settings):
            registry = stage.registry
            await set_to(registry, "pager", receiver.url("/pager"))
            await set_to(registry, "nosecret", receiver.url("/nosecret"), signed_with="other")
            await set_to(registry, "elsewhere", "http://elsewhere.example/in")
            await until_followed(settings, registry, "pager", "nosecret", "elsewhere", "old")
            told = await register(stage, 1)
            (came,) = await receiver.until(1, "/pager")
            assert came.body == told.value
            assert came.verified(SECRET)
            async with asyncio.timeout(SECONDS_MAX):
                found = await listed(settings, registry)
                while None in (found["nosecret"].last_failure, found["elsewhere"].last_failure):
                    await asyncio.sleep(0.2)
                    found = await listed(settings, registry)
            assert "'other' in HOTSWAP_WEBHOOK_SECRETS is not set" in (found["nosecret"].last_failure or "")
            assert "not in their HOTSWAP_WEBHOOK_HOSTS" in (found["elsewhere"].last_failure or "")
            assert (found["pager"].set_by, found["pager"].actor, found["old"].set_by) == ("command", "ada", "settings")
            # Whoever has none of the agents' settings sees what they follow all the same.
            stranger = settings_for(kafka, topic_prefix, tmp_path, None, webhook_secret=None)
            known = await listed(stranger, registry)
            assert (known["old"].set_by, known["old"].url) == ("settings", receiver.url("/old"))

            await remove_webhook(registry, "pager", actor="ada", command_id="remove")
            await register(stage, 2)
            await receiver.until(2, "/old")
            assert len(receiver.at("/pager")) == 1
            with pytest.raises(WebhookRefusedError, match="there are nosecret, elsewhere"):
                await remove_webhook(registry, "pager", actor="ada", command_id="again")
