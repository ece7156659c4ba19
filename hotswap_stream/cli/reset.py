"""`reset`: back to a clean state, asking first."""

import shutil
from typing import TYPE_CHECKING, Annotated

import typer

from hotswap_stream.cli.running import prepared_settings, run

if TYPE_CHECKING:
    from hotswap_stream.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("reset")(reset)


def reset(yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False) -> None:
    """Delete the registry, all topics of this environment, and all artifacts. Nothing brings them back."""

    async def describe(settings: "Settings") -> str:
        from hotswap_stream import bootstrap
        from hotswap_stream.errors import ConfigurationError

        if settings.kafka_bootstrap_servers is not None:
            kafka = f"all topics {settings.topic_prefix}.* on {settings.kafka_bootstrap_servers}"
        else:
            running = bootstrap.running_broker(settings)
            if running is not None:
                raise ConfigurationError(
                    f"the broker of {settings.home} is running (process {running.pid}); stop `hotswap-stream up` or "
                    "`hotswap-stream broker` first"
                )
            kafka = f"the embedded broker's data in {settings.home / 'kafka'}"
        return f"{kafka}, and all artifacts in {settings.artifacts or settings.home / 'artifacts'}"

    what = run(describe)
    if not yes and not typer.confirm(f"Delete {what}?"):
        typer.echo("nothing was deleted")
        raise typer.Exit(1)

    async def delete(settings: "Settings") -> tuple[int, int]:
        from hotswap_stream import bootstrap
        from hotswap_stream.adapters.kafka.topic_admin import delete_topics

        topics = 0
        if settings.kafka_bootstrap_servers is not None:
            topics = len(await delete_topics(bootstrap.connection(settings), settings.topic_prefix))
        else:
            shutil.rmtree(settings.home / "kafka", ignore_errors=True)
        store = bootstrap.artifact_store(settings)
        artifacts = await store.list()
        for artifact in artifacts:
            await store.delete(artifact.digest)
        shutil.rmtree(settings.home / "runs", ignore_errors=True)
        memory = bootstrap.log_memory(settings)
        if memory is not None:
            memory.forget()
        return topics, len(artifacts)

    topics, artifacts = run(delete)
    where = f"{topics} topics" if prepared_settings(quiet=True).kafka_bootstrap_servers else "the broker's data"
    typer.echo(f"deleted {where} and {artifacts} artifacts")
