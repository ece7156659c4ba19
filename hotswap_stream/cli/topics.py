"""`topics`: create and list the topics of this environment."""

from typing import TYPE_CHECKING

import typer

from hotswap_stream.cli.options import AsJson
from hotswap_stream.cli.printing import print_json, print_table
from hotswap_stream.cli.running import run

if TYPE_CHECKING:
    from hotswap_events.topics import TopicSpec
    from hotswap_stream.domain.state import ModelState
    from hotswap_stream.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("topics")(topics)


def topics(as_json: AsJson = False) -> None:
    """Create the topics this environment needs, as far as they do not exist, and show them.

    A model whose version in production takes windows needs one for them, too.
    """

    async def main(settings: "Settings") -> "list[TopicSpec]":
        from hotswap_stream import bootstrap

        async with bootstrap.open_registry(settings) as registry:
            names = bootstrap.topics(settings)
            ensure = bootstrap.model_topics_creator(settings)
            ensure_windows = bootstrap.model_topics_creator(settings, windows=True)
            existing = await bootstrap.existing_topics(settings)
            specs = list(names.control_specs())
            for model_name, stream in sorted(registry.fold.streams.items()):
                await ensure(model_name)
                specs.extend(names.model_specs(model_name, partitions=settings.request_partitions))
                # One that is there may serve a version that was in production before, or is not yet.
                if names.windows(model_name) in existing or await _takes_windows(settings, stream.state):
                    await ensure_windows(model_name)
                    specs.extend(names.windows_specs(model_name, partitions=settings.request_partitions))
            return specs

    specs = run(main)
    if as_json:
        print_json(specs)
        return
    print_table(
        ("topic", "partitions", "clean-up", "retention"),
        ((spec.name, spec.partitions, spec.cleanup_policy, _retention(spec)) for spec in specs),
    )


async def _takes_windows(settings: "Settings", state: "ModelState") -> bool:
    from hotswap_stream import bootstrap
    from hotswap_stream.errors import HotswapError

    if state.active is None:
        return False
    try:
        artifact = await bootstrap.artifact_store(settings).fetch(state.active.artifact.digest)
    except HotswapError as error:
        typer.echo(f"{state.model_name}: whether it takes windows cannot be told: {error}", err=True)
        return False
    return artifact.manifest.window is not None


def _retention(spec: "TopicSpec") -> str:
    if spec.cleanup_policy == "compact":
        return "last of each key"
    return "for ever" if spec.retention_ms < 0 else f"{spec.retention_ms // 86_400_000} days"
