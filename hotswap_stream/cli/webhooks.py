"""`webhooks`: who is told about which events, how far, and whether it works."""

from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer

from hotswap_stream.cli.terminal.options import Actor, AsJson, Reason
from hotswap_stream.cli.terminal.printing import print_json, print_table, refuse
from hotswap_stream.cli.terminal.running import FAILED, on_registry, run, run_by_api_or

if TYPE_CHECKING:
    from typing import Any

    from hotswap_events.commands import Refusal
    from hotswap_stream.application.log.stream import SetWebhook
    from hotswap_stream.application.registry.registry import Registry
    from hotswap_stream.application.webhooks.listed import ListedWebhook
    from hotswap_stream.cli.planes.http import ApiPlane
    from hotswap_stream.settings import Settings

WebhookName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the webhook.")]


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="Webhooks: who is told of which events by HTTP.", no_args_is_help=True)
    group.command("list")(list_webhooks)
    group.command("add")(add)
    group.command("remove")(remove)
    group.command("test")(try_webhooks)
    group.command("secret")(secret)
    app.add_typer(group, name="webhooks")


def add(
    name: WebhookName,
    url: Annotated[str, typer.Argument(metavar="URL", help="Where events are posted to, without a query.")],
    actor: Actor,
    event: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="Types of events, with * for any characters; several times for several. Default: alerts.",
            show_default=False,
        ),
    ] = None,
    signed_with: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Name of the secret, of those in HOTSWAP_WEBHOOK_SECRETS of the agents. Default: "
            "HOTSWAP_WEBHOOK_SECRET.",
            show_default=False,
        ),
    ] = None,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Have the agents tell a receiver of events, from now on and without a restart. Replaces one of the same name."""
    from hotswap_stream.application.webhooks.by_command import webhook_set

    who, command_id = _allowed(actor), str(uuid4())

    async def on(registry: "Registry") -> "SetWebhook | Refusal":
        from hotswap_events.commands import Refusal
        from hotswap_stream.application.webhooks.by_command import WebhookRefusedError, set_webhook

        data = webhook_set(name, url, event, signed_with)
        try:
            return await set_webhook(registry, data, actor=who, command_id=command_id, reason=reason)
        except WebhookRefusedError as error:
            return Refusal(code="invalid-value", reason=str(error))

    async def of_api(api: "ApiPlane") -> "Any":
        body = {"url": url, "events": event or (), "signed_with": signed_with}
        return await api.done(_path(name), body, _said(who, command_id, reason), dict, method="PUT")

    found = _accepted(run_by_api_or(on_registry(on), of_api), as_json)
    if as_json:
        print_json(found)
    else:
        patterns = found["events"] if isinstance(found, dict) else found.data.event_patterns
        typer.secho(f"{name} is set: {url} is told of {', '.join(patterns)}", fg="green")
        typer.echo("`hotswap-stream webhooks list` shows whether the agents reach it")


def remove(name: WebhookName, actor: Actor, reason: Reason = None, as_json: AsJson = False) -> None:
    """Have the agents tell a receiver of nothing more that `webhooks add` set."""
    who, command_id = _allowed(actor), str(uuid4())

    async def on(registry: "Registry") -> "Refusal | None":
        from hotswap_events.commands import Refusal
        from hotswap_stream.application.webhooks.by_command import WebhookRefusedError, remove_webhook

        try:
            await remove_webhook(registry, name, actor=who, command_id=command_id, reason=reason)
        except WebhookRefusedError as error:
            return Refusal(code="invalid-value", reason=str(error))
        return None

    async def of_api(api: "ApiPlane") -> "Any":
        return await api.done(f"{_path(name)}/remove", {}, _said(who, command_id, reason), dict)

    _accepted(run_by_api_or(on_registry(on), of_api), as_json)
    if as_json:
        print_json({"name": name, "removed": True})
    else:
        typer.secho(f"{name} is removed", fg="green")


def _path(name: str) -> str:
    from urllib.parse import quote

    return f"/api/webhooks/{quote(name, safe='')}"


def _said(actor: str, command_id: str, reason: str | None) -> "dict[str, Any]":
    """Return what an API is told of who asks; webhooks are of no model, and so of no sequence."""
    return {"actor": actor, "command_id": command_id, "reason": reason}


def _allowed(actor: str) -> str:
    """Return the name. BadParameter for one that only parts of the product may use."""
    from hotswap_stream.domain.reserved import wrong_actor

    if wrong := wrong_actor(actor):
        raise typer.BadParameter(wrong)
    return actor


def _accepted(found: "Any", as_json: bool) -> "Any":
    from hotswap_events.commands import Refusal

    if isinstance(found, Refusal):
        raise refuse(found, as_json=as_json)
    return found


def list_webhooks(as_json: AsJson = False) -> None:
    """Show the webhooks that the agents follow: which events, how far each was told, what is wrong where it lags."""

    async def main(settings: "Settings") -> "list[ListedWebhook]":
        from hotswap_stream import bootstrap

        await bootstrap.ensure_control_topics(settings)
        async with bootstrap.open_registry(settings) as registry:
            return await bootstrap.listed_webhooks(settings, registry.fold.log)

    async def of_api(api: "ApiPlane") -> "list[ListedWebhook]":
        from msgspec import Struct

        from hotswap_stream.application.webhooks.listed import ListedWebhook

        class Page(Struct):
            webhooks: list[ListedWebhook]

        return _accepted(await api.get("/api/webhooks/deliveries", Page), as_json).webhooks  # type: ignore[no-any-return]

    found = run_by_api_or(main, of_api)
    if as_json:
        print_json(found)
    elif not found:
        typer.echo("no webhooks: `hotswap-stream webhooks add`, or HOTSWAP_WEBHOOK_URLS of the agents")
    else:
        print_table(
            ("webhook", "set by", "url", "events", "told up to", "lag", "delivered", "dead letters", "state"),
            (
                (
                    each.name,
                    each.actor or each.set_by,
                    each.url or "only the agents know",
                    each.events,
                    each.next_offset,
                    each.lag,
                    each.delivered,
                    each.dead_letters,
                    _state(each),
                )
                for each in found
            ),
        )


def _state(webhook: "ListedWebhook") -> str:
    if webhook.next_offset is None:
        return "no agents have followed the log for it yet"
    if webhook.failing_since is None:
        return "ok"
    return f"failing since {webhook.failing_since:%Y-%m-%d %H:%M:%SZ}: {webhook.last_failure}"


def try_webhooks(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]", help="Only this webhook. Default: all of the settings here.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Post a signed hotswap.webhook.test.v1 event to each, once, and show the answers. Exit code 1 if one failed."""

    async def main(settings: "Settings") -> "list[dict[str, Any]]":
        from contextlib import suppress
        from datetime import UTC, datetime

        from hotswap_stream import bootstrap
        from hotswap_stream.application.webhooks.message import trial_message
        from hotswap_stream.errors import ConfigurationError

        webhooks = [*bootstrap.configured_webhooks(settings)]
        if not webhooks or name not in (None, *(webhook.name for webhook in webhooks)):
            # Settings alone need no Kafka.
            with suppress(ConfigurationError):
                async with bootstrap.open_registry(settings) as registry:
                    webhooks += bootstrap.webhooks_by_command(settings, registry.fold.log).values()
        if not webhooks:
            raise ConfigurationError(
                "no webhooks: set HOTSWAP_WEBHOOK_URLS and HOTSWAP_WEBHOOK_SECRET, or use `hotswap-stream webhooks add`"
            )
        if name is not None and name not in (names := [webhook.name for webhook in webhooks]):
            raise ConfigurationError(f"no webhook is named {name!r}; there are {', '.join(names)}")
        found = []
        async with bootstrap.webhook_poster(settings) as poster:
            for webhook in webhooks:
                if name not in (None, webhook.name):
                    continue
                at = datetime.now(UTC)
                message = trial_message(str(uuid4()), source=f"/{settings.topic_prefix}/cli", at=at)
                if webhook.problem is not None:
                    raise ConfigurationError(f"{webhook.name}: with the settings here, {webhook.problem}")
                outcome = await poster.post(webhook.url, message.headers(webhook.keys, at), message.body)
                found.append(
                    {
                        "name": webhook.name,
                        "url": webhook.shown_url,
                        "delivered": outcome.delivered,
                        "status": outcome.status,
                        "answer": str(outcome),
                        "elapsed_ms": round(outcome.elapsed_ms, 1),
                        "webhook_id": message.message_id,
                    }
                )
        return found

    found = run(main)
    if as_json:
        print_json(found)
    else:
        print_table(
            ("webhook", "url", "delivered", "answer", "ms"),
            (
                (
                    each["name"],
                    each["url"],
                    "yes" if each["delivered"] else "no",
                    each["answer"],
                    each["elapsed_ms"],
                )
                for each in found
            ),
        )
    if not all(each["delivered"] for each in found):
        raise typer.Exit(FAILED)


def secret() -> None:
    """Print a fresh secret for HOTSWAP_WEBHOOK_SECRET and for the receivers. It is kept nowhere."""
    from hotswap_stream.application.webhooks.message import fresh_secret

    typer.echo(fresh_secret())
