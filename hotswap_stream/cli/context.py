"""`context`: the places where commands go, and which of them is chosen."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from hotswap_stream.cli.terminal.exit_codes import CONFIGURATION
from hotswap_stream.cli.terminal.options import AsJson
from hotswap_stream.cli.terminal.printing import print_facts, print_json, print_table
from hotswap_stream.cli.terminal.running import fail, fail_with

if TYPE_CHECKING:
    from hotswap_stream.cli.planes.contexts import Context

KEY_CHARACTERS_MAX = 4_096
HIDDEN = "***"

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the context.")]


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="Contexts: the clusters and APIs that commands go to.", no_args_is_help=True)
    group.command("list")(list_all)
    group.command("show")(show)
    group.command("use")(use)
    group.command("add")(add)
    group.command("remove")(remove)
    app.add_typer(group, name="context")


def list_all(as_json: AsJson = False) -> None:
    """List the contexts; the current one is marked."""
    from hotswap_stream.cli.planes.contexts import read_contexts
    from hotswap_stream.errors import HotswapError

    try:
        contexts = read_contexts()
    except HotswapError as error:
        fail_with(error)
    found = [
        {"name": name, "current": name == contexts.current, "place": place(context), "settings": shown(context)}
        for name, context in sorted(contexts.contexts.items())
    ]
    if as_json:
        print_json(found)
    elif not found:
        typer.echo("no contexts: add one with `hotswap-stream context add NAME --url URL` or --bootstrap-servers")
    else:
        print_table(
            ("context", "current", "place"),
            ((each["name"], "yes" if each["current"] else None, each["place"]) for each in found),
        )


def show(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Default: where commands go now.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show where commands go, and what says so; or one context. No key is shown, and nothing is asked."""
    from hotswap_stream.cli.planes.chosen import chosen
    from hotswap_stream.cli.planes.contexts import read_contexts
    from hotswap_stream.cli.terminal.running import prepared_settings
    from hotswap_stream.errors import HotswapError

    try:
        contexts = read_contexts()
        if name is not None and name not in contexts.contexts:
            fail(f"there is no context {name!r}; there is {', '.join(sorted(contexts.contexts)) or 'none'}")
        if name is not None:
            facts: dict[str, object] = {"name": name, "place": place(contexts.contexts[name])}
            facts |= shown(contexts.contexts[name])
        else:
            settings = prepared_settings(quiet=True)
            by_api = settings.api_url is not None and settings.kafka_bootstrap_servers is None
            place_now = settings.api_url if by_api else settings.kafka_bootstrap_servers
            facts = {
                "context": chosen.get() or contexts.current,
                "goes to": "an API" if by_api else "the cluster" if place_now else "the embedded broker of this folder",
                "place": place_now or str(settings.home),
                "topic prefix": None if by_api else settings.topic_prefix,
                "key": (HIDDEN if settings.api_key else "none") if by_api else None,
                "user": None if by_api else settings.kafka_sasl_username,
            }
    except HotswapError as error:
        fail_with(error)
    if as_json:
        print_json({name.replace(" ", "_"): value for name, value in facts.items()})
    else:
        print_facts(facts)


def use(name: NameArgument, as_json: AsJson = False) -> None:
    """Let commands go there from now on, unless --context or the environment says otherwise."""
    from msgspec.structs import replace

    from hotswap_stream.cli.planes.contexts import read_contexts, write_contexts
    from hotswap_stream.errors import HotswapError

    try:
        contexts = read_contexts()
        if name not in contexts.contexts:
            fail(f"there is no context {name!r}; there is {', '.join(sorted(contexts.contexts)) or 'none'}")
        write_contexts(replace(contexts, current=name))
    except HotswapError as error:
        fail_with(error)
    _done({"name": name, "current": True}, f"{name}: commands go to {place(contexts.contexts[name])}", as_json=as_json)


def add(
    name: NameArgument,
    url: Annotated[
        str | None, typer.Option(help="An API, such as https://models.example:8000.", show_default=False)
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(help="'-' reads the API key from standard input; it stands in the file then.", show_default=False),
    ] = None,
    key_variable: Annotated[
        str | None, typer.Option(help="The environment variable that holds the API key.", show_default=False)
    ] = None,
    bootstrap_servers: Annotated[
        str | None, typer.Option(help="Instead of an API: the cluster, as host:port,host:port.", show_default=False)
    ] = None,
    prefix: Annotated[str | None, typer.Option(help="The environment on the cluster.", show_default=False)] = None,
    security_protocol: Annotated[
        str | None, typer.Option(help="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.", show_default=False)
    ] = None,
    sasl_mechanism: Annotated[
        str | None, typer.Option(help="PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER.", show_default=False)
    ] = None,
    sasl_username: Annotated[str | None, typer.Option(help="User on the cluster.", show_default=False)] = None,
    sasl_password_variable: Annotated[
        str | None, typer.Option(help="The environment variable that holds the password.", show_default=False)
    ] = None,
    ca_file: Annotated[
        str | None,
        typer.Option(
            "--ca-file",
            "--ca",
            help="Certificates that those of the API, or of the cluster, must be signed by.",
            show_default=False,
        ),
    ] = None,
    certificate_file: Annotated[
        str | None, typer.Option(help="Your certificate, for clusters that ask for one.", show_default=False)
    ] = None,
    key_file: Annotated[str | None, typer.Option(help="The key of your certificate.", show_default=False)] = None,
    token_file: Annotated[
        str | None, typer.Option(help="A file with a token, for OAUTHBEARER.", show_default=False)
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Even if there is a context of this name.")] = False,
    current: Annotated[bool, typer.Option("--use", help="Let commands go there from now on.")] = False,
    as_json: AsJson = False,
) -> None:
    """Add a context: an API by --url, or a cluster by --bootstrap-servers. The first one becomes the current one."""
    import msgspec

    from hotswap_stream.cli.planes.contexts import Context, Contexts, read_contexts, write_contexts, wrong_context
    from hotswap_stream.errors import HotswapError

    if key not in (None, "-"):
        raise typer.BadParameter(
            "a key in the command line is seen by others; give '-', or --key-variable", param_hint="--key"
        )
    if key is not None and key_variable is not None:
        raise typer.BadParameter("--key and --key-variable exclude each other", param_hint="--key")
    settings = {
        "api_url": url,
        "api_key": sys.stdin.readline(KEY_CHARACTERS_MAX).strip() if key == "-" else None,
        "kafka_bootstrap_servers": bootstrap_servers,
        "topic_prefix": prefix,
        "kafka_security_protocol": security_protocol,
        "kafka_sasl_mechanism": sasl_mechanism,
        "kafka_sasl_username": sasl_username,
        "kafka_ssl_ca_file" if url is None else "api_ca_file": ca_file,
        "kafka_ssl_certificate_file": certificate_file,
        "kafka_ssl_key_file": key_file,
        "kafka_oauth_token_file": token_file,
    }
    variables = {"api_key": key_variable, "kafka_sasl_password": sasl_password_variable}
    made = Context(
        settings={setting: value for setting, value in settings.items() if value},
        variables={setting: value for setting, value in variables.items() if value},
    )
    if wrong := wrong_context(made):
        raise typer.BadParameter(f"the context {wrong}", param_hint="--url, --bootstrap-servers")
    _check(made)
    try:
        contexts = read_contexts()
        if name in contexts.contexts and not replace:
            fail(f"there is a context {name!r}; --replace overwrites it")
        chosen = name if current or contexts.current is None else contexts.current
        # Converted, so that the name is checked, too.
        every = {
            "current": chosen,
            "contexts": {**msgspec.to_builtins(contexts.contexts), name: msgspec.to_builtins(made)},
        }
        try:
            write_contexts(msgspec.convert(every, Contexts))
        except msgspec.ValidationError as error:
            fail(f"{name!r} is no name of a context: {error}", CONFIGURATION)
    except HotswapError as error:
        fail_with(error)
    said = f"{name}: {place(made)}" + ("; commands go there from now on" if chosen == name else "")
    _done({"name": name, "current": chosen == name, "place": place(made)}, said, as_json=as_json)


def remove(name: NameArgument, as_json: AsJson = False) -> None:
    """Remove a context; if it is the current one, commands go by the environment from then on."""
    from hotswap_stream.cli.planes.contexts import Contexts, read_contexts, write_contexts
    from hotswap_stream.errors import HotswapError

    try:
        contexts = read_contexts()
        if name not in contexts.contexts:
            fail(f"there is no context {name!r}; there is {', '.join(sorted(contexts.contexts)) or 'none'}")
        left = {key: value for key, value in contexts.contexts.items() if key != name}
        write_contexts(Contexts(current=None if contexts.current == name else contexts.current, contexts=left))
    except HotswapError as error:
        fail_with(error)
    _done({"name": name, "removed": True}, f"{name}: removed", as_json=as_json)


def place(context: "Context") -> str:
    """Return where a context leads, in a few words."""
    if "api_url" in context.settings:
        return f"API {context.settings['api_url']}"
    prefix = context.settings.get("topic_prefix", "hotswap")
    return f"cluster {context.settings.get('kafka_bootstrap_servers')}, prefix {prefix}"


def shown(context: "Context") -> dict[str, object]:
    """Return the settings of a context, without its secrets."""
    from hotswap_stream.cli.planes.contexts import SECRETS

    found: dict[str, object] = {
        name: HIDDEN if name in SECRETS else value for name, value in sorted(context.settings.items())
    }
    return {**found, **{name: f"from ${variable}" for name, variable in sorted(context.variables.items())}}


def _check(context: "Context") -> None:
    """Refuse values that are no settings."""
    from hotswap_stream.errors import ConfigurationError
    from hotswap_stream.settings import PREFIX, load_settings

    try:
        load_settings({f"{PREFIX}{name.upper()}": value for name, value in context.settings.items()})
    except ConfigurationError as error:
        raise typer.BadParameter(str(error)) from None


def _done(facts: dict[str, object], said: str, *, as_json: bool) -> None:
    if as_json:
        print_json(facts)
    else:
        typer.secho(said, fg="green")
