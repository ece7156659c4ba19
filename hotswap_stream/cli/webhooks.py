"""`webhooks`: who is told about which events, how far, and whether it works."""

from typing import TYPE_CHECKING, Annotated

import typer

from hotswap_stream.cli.terminal.options import AsJson
from hotswap_stream.cli.terminal.printing import print_json, print_table
from hotswap_stream.cli.terminal.running import FAILED, run

if TYPE_CHECKING:
    from typing import Any

    from hotswap_stream.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="Webhooks: who is told of which events by HTTP.", no_args_is_help=True)
    group.command("list")(list_webhooks)
    group.command("test")(try_webhooks)
    group.command("secret")(secret)
    app.add_typer(group, name="webhooks")


def list_webhooks(as_json: AsJson = False) -> None:
    """Show the webhooks: which events, how far each was told, and what is wrong where it lags."""

    async def main(settings: "Settings") -> "list[dict[str, Any]]":
        import msgspec

        from hotswap_stream import bootstrap

        found = bootstrap.configured_webhooks(settings)
        if not found:
            return []
        await bootstrap.ensure_control_topics(settings)
        places = await bootstrap.webhook_places(settings)
        return [
            {
                "name": webhook.name,
                "url": webhook.shown_url,
                "events": webhook.event_patterns,
                "next_offset": places[webhook.name].next_offset,
                "lag": places[webhook.name].lag,
                **msgspec.structs.asdict(places[webhook.name].note),
            }
            for webhook in found
        ]

    found = run(main)
    if as_json:
        print_json(found)
    elif not found:
        typer.echo("no webhooks: set HOTSWAP_WEBHOOK_URLS and HOTSWAP_WEBHOOK_SECRET")
    else:
        print_table(
            ("webhook", "url", "events", "told up to", "lag", "delivered", "dead letters", "state"),
            (
                (
                    each["name"],
                    each["url"],
                    each["events"],
                    each["next_offset"],
                    each["lag"],
                    each["delivered"],
                    each["dead_letters"],
                    _state(each),
                )
                for each in found
            ),
        )


def _state(webhook: "dict[str, Any]") -> str:
    if webhook["next_offset"] is None:
        return "no agents have followed the log for it yet"
    if webhook["failing_since"] is None:
        return "ok"
    return f"failing since {webhook['failing_since']:%Y-%m-%d %H:%M:%SZ}: {webhook['last_failure']}"


def try_webhooks(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Only this webhook. Default: all.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Post a signed hotswap.webhook.test.v1 event to each, once, and show the answers. Exit code 1 if one failed."""

    async def main(settings: "Settings") -> "list[dict[str, Any]]":
        from datetime import UTC, datetime
        from uuid import uuid4

        from hotswap_stream import bootstrap
        from hotswap_stream.application.webhooks.message import trial_message
        from hotswap_stream.errors import ConfigurationError

        webhooks = bootstrap.configured_webhooks(settings)
        if not webhooks:
            raise ConfigurationError("no webhooks: set HOTSWAP_WEBHOOK_URLS and HOTSWAP_WEBHOOK_SECRET")
        if name is not None and name not in (names := [webhook.name for webhook in webhooks]):
            raise ConfigurationError(f"no webhook is named {name!r}; there are {', '.join(names)}")
        found = []
        async with bootstrap.webhook_poster(settings) as poster:
            for webhook in webhooks:
                if name not in (None, webhook.name):
                    continue
                at = datetime.now(UTC)
                message = trial_message(str(uuid4()), source=f"/{settings.topic_prefix}/cli", at=at)
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
