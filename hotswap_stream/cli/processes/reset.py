"""`reset`: back to a clean state, asking first."""

import shutil
from typing import TYPE_CHECKING, Annotated

import typer

from hotswap_stream.cli.terminal.options import AsJson
from hotswap_stream.cli.terminal.printing import print_json
from hotswap_stream.cli.terminal.running import prepared_settings, run

if TYPE_CHECKING:
    from hotswap_stream.settings import Settings


RESETTING = "reset.0"
"""The environment that deletes what nobody has marked."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("reset")(reset)


def reset(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    unmarked: Annotated[
        bool, typer.Option("--unmarked", help="Also delete artifacts that no environment has marked as needed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Delete the registry, all topics of this environment, and the artifacts that no other environment needs.

    Nothing brings them back.
    """

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
        where = settings.artifacts or settings.home / "artifacts"
        return f"{kafka}, and the artifacts in {where} that no other environment needs"

    what = run(describe)
    if not yes and not typer.confirm(f"Delete {what}?", err=as_json):
        typer.echo("nothing was deleted")
        raise typer.Exit(1)

    async def delete(settings: "Settings") -> tuple[int, int, int]:
        from hotswap_stream import bootstrap

        topics, names = 0, await bootstrap.environments_here(settings)
        if settings.kafka_bootstrap_servers is not None:
            topics = len(await bootstrap.delete_topics(settings))
        else:
            shutil.rmtree(settings.home / "kafka", ignore_errors=True)
        artifacts, kept = await _release_artifacts(settings, names, unmarked=unmarked)
        shutil.rmtree(settings.home / "runs", ignore_errors=True)
        memory = bootstrap.log_memory(settings)
        if memory is not None:
            memory.forget()
        return topics, artifacts, kept

    topics, artifacts, kept = run(delete)
    if as_json:
        print_json({"topics_deleted": topics, "artifacts_deleted": artifacts, "artifacts_kept": kept})
        return
    where = f"{topics} topics" if prepared_settings(quiet=True).kafka_bootstrap_servers else "the broker's data"
    typer.echo(f"deleted {where} and {artifacts} artifacts")
    if kept:
        typer.echo(
            f"{kept} artifacts stay: other environments need them (`hotswap-stream artifacts environments` lists who), "
            "or nobody has marked them (`reset --unmarked` deletes these, too)"
        )


async def _release_artifacts(settings: "Settings", names: tuple[str, ...], *, unmarked: bool) -> tuple[int, int]:
    """Give up what these environments have marked. Return how many artifacts were deleted, and how many are left."""
    from hotswap_stream import bootstrap

    deleted = 0
    for name in names:
        references = bootstrap.artifact_store(settings, name).references
        for digest in sorted(await references.marked()):
            release = await references.release(digest, adopt=False, grace_seconds=0.0)
            deleted += release.outcome == "deleted"
    store = bootstrap.artifact_store(settings, RESETTING)
    if unmarked:
        marked = await store.references.marked_by_anybody()
        for artifact in await store.list():
            if artifact.digest not in marked:
                release = await store.references.release(artifact.digest, grace_seconds=0.0)
                deleted += release.outcome == "deleted"
    return deleted, len(await store.list())
