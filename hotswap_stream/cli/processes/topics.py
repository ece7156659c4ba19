"""`topics`: create the topics of this environment, show them as the cluster has them, and mend their settings."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hotswap_stream.cli.terminal.options import AsJson
from hotswap_stream.cli.terminal.printing import print_json, print_table
from hotswap_stream.cli.terminal.running import FAILED, run

if TYPE_CHECKING:
    from hotswap_events.topics import Topics, TopicSpec
    from hotswap_stream.application.topics.check import Difference, TopicFacts
    from hotswap_stream.application.topics.growth import Growth
    from hotswap_stream.domain.state.model import ModelState
    from hotswap_stream.settings import Settings

    Checked = tuple[TopicSpec, TopicFacts, list[Difference]]

_DAY_MS = 86_400_000
_MIB = 1_048_576

Repair = Annotated[
    bool,
    typer.Option(
        "--repair",
        help="Change settings that differ from what is needed, and set those that are right only by the cluster's "
        "default. Others stay as they are.",
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    group = typer.Typer(invoke_without_command=True)
    group.callback()(topics)
    group.command("grow")(grow)
    app.add_typer(group, name="topics")


def grow(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The model.", show_default=False)],
    partitions: Annotated[
        int,
        typer.Argument(metavar="N", help="A multiple of what its requests have now.", min=1, show_default=False),
    ],
    as_json: AsJson = False,
) -> None:
    """Give the topics of a model more partitions while it is in use: its windows', its answers', then its requests'.

    Every request is answered once, also those under way. Workers take the new partitions within seconds. Keys go to
    other partitions as soon as their clients notice; of one key, requests under way then may be answered out of order.
    """

    async def main(settings: "Settings") -> "Growth":
        from hotswap_stream import bootstrap

        return await bootstrap.grow_topics(settings, model, partitions)

    grown = run(main)
    if as_json:
        print_json({"model_name": model, "partitions": grown.partitions, "before": grown.before})
        return
    for name, before in grown.before.items():
        typer.echo(f"{name}: {before} → {grown.partitions} partitions")
    if not grown.before:
        typer.echo(f"the topics of {model!r} have {grown.partitions} partitions already")
    typer.echo(f"who answers them: hotswap-stream fleet {model}")


def topics(ctx: typer.Context, repair: Repair = False, as_json: AsJson = False) -> None:
    """Create the topics that this environment needs and that are missing, and show all as the cluster has them.

    What differs from what is needed is marked, and the exit code is 1 then. A model whose version in production takes
    windows needs a topic for them, too.
    """
    if ctx.invoked_subcommand is not None:
        return

    async def main(settings: "Settings") -> "tuple[list[Checked], list[str]]":
        from hotswap_stream import bootstrap
        from hotswap_stream.application.topics.check import mending_command

        specs = await _created(settings)
        if repair:
            for name, changed in (await bootstrap.repair_topics(settings, specs)).items():
                typer.echo(f"{name}: set {', '.join(f'{key}={value}' for key, value in changed.items())}", err=True)
        found = await bootstrap.check_topics(settings, specs)
        servers = bootstrap.connection(settings).bootstrap_servers
        commands = [mending_command(spec.name, different, servers) for spec, _facts, different in found]
        return found, [command for command in commands if command is not None]

    found, commands = run(main)
    if as_json:
        print_json([_as_json(*each) for each in found])
    else:
        print_table(
            ("topic", "partitions", "replicas", "clean-up", "retention", "time", "as needed"),
            (_row(*each) for each in found),
        )
        for _spec, facts, different in found:
            for difference in different:
                typer.echo(f"{facts.name}: {difference}")
    if unseen := [facts.name for _spec, facts, _different in found if facts.settings is None]:
        typer.echo(f"this client may not see the settings of {', '.join(unseen)}: nobody checked them", err=True)
    if any(different for _spec, _facts, different in found):
        if commands:
            typer.echo("`hotswap-stream topics --repair` mends these settings, and so does:", err=True)
        for command in commands:
            typer.echo(f"  {command}", err=True)
        raise typer.Exit(FAILED)


async def _created(settings: "Settings") -> "list[TopicSpec]":
    """Return the topics that are needed, made where they were missing, and the agents' own."""
    from hotswap_stream import bootstrap

    names, partitions = bootstrap.topics(settings), settings.request_partitions
    ensure = bootstrap.model_topics_creator(settings, check=False)
    ensure_windows = bootstrap.model_topics_creator(settings, windows=True, check=False)
    await bootstrap.ensure_control_topics(settings, check=False)
    existing = await bootstrap.existing_topics(settings)
    states = await _models(settings)
    specs = [*names.control_specs(), *bootstrap.agent_topic_specs(settings)]
    for model_name in sorted({*states, *_models_with_topics(names, existing)}):
        state = states.get(model_name)
        if state is not None:
            await ensure(model_name)
        kept = None if state is None else state.request_retention
        specs.extend(names.model_specs(model_name, partitions=partitions, retention=kept))
        # One that is there may serve a version that was in production before, or is not yet.
        if names.windows(model_name) in existing:
            specs.extend(names.windows_specs(model_name, partitions=partitions))
        elif state is not None and await _takes_windows(settings, state):
            await ensure_windows(model_name)
            specs.extend(names.windows_specs(model_name, partitions=partitions))
    return specs


async def _models(settings: "Settings") -> "dict[str, ModelState]":
    """Return the models' states by the log.

    Where it cannot be read, as when records of it are gone, there are none, with a word about it.
    """
    from hotswap_stream import bootstrap
    from hotswap_stream.errors import LogUnavailableError

    try:
        async with bootstrap.open_registry(settings, check=False) as registry:
            return {name: stream.state for name, stream in registry.fold.streams.items()}
    except LogUnavailableError as error:
        typer.echo(f"models are told from the topics alone: {error}", err=True)
        return {}


def _models_with_topics(names: "Topics", existing: frozenset[str]) -> set[str]:
    prefix = names.requests("")
    return {name.removeprefix(prefix) for name in existing if name.startswith(prefix)}


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


def _value(facts: "TopicFacts", setting: str) -> str | None:
    found = (facts.settings or {}).get(setting)
    return None if found is None else found.value


def _row(_spec: "TopicSpec", facts: "TopicFacts", different: "list[Difference]") -> tuple[Any, ...]:
    return (
        facts.name,
        facts.partitions,
        facts.replicas,
        _value(facts, "cleanup.policy"),
        _retention(facts),
        _value(facts, "message.timestamp.type"),
        _judgement(facts, different),
    )


def _judgement(facts: "TopicFacts", different: "list[Difference]") -> str | None:
    if any(each.breaks for each in different):
        return "NO"
    if different:
        return "weaker"
    return None if facts.settings is None else "yes"


def _retention(facts: "TopicFacts") -> str | None:
    if facts.settings is None:
        return None
    policy = (_value(facts, "cleanup.policy") or "").split(",")
    kept = ["last of each key"] if "compact" in policy else []
    if "delete" in policy:
        age_ms, size_bytes = int(_value(facts, "retention.ms") or -1), int(_value(facts, "retention.bytes") or -1)
        kept.append("for ever" if age_ms < 0 else f"{age_ms / _DAY_MS:.3g} days")
        if size_bytes >= 0:
            kept.append(f"{size_bytes / _MIB:.3g} MiB a partition")
    return ", at most ".join(kept)


def _as_json(spec: "TopicSpec", facts: "TopicFacts", different: "list[Difference]") -> dict[str, Any]:
    return {
        "name": facts.name,
        "partitions": facts.partitions,
        "replicas": facts.replicas,
        "settings": None
        if facts.settings is None
        else {setting.name: _value(facts, setting.name) for setting in spec.settings(brokers=1)},
        "differences": different,
    }
