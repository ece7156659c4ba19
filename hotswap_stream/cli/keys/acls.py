"""`acls`: the access rights that each role needs on a cluster with access rules."""

from typing import TYPE_CHECKING, Annotated

import typer

from hotswap_stream.cli.terminal.options import AsJson
from hotswap_stream.cli.terminal.printing import print_json
from hotswap_stream.cli.terminal.running import run

if TYPE_CHECKING:
    from hotswap_stream.application.topics.acls import Acl
    from hotswap_stream.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("acls")(acls)


def acls(
    role: Annotated[
        list[str] | None,
        typer.Option(
            help="api, agents, worker, trainer, operator (the command line), administrator (who grows or repairs "
            "topics, or restores the registry), commander, producer (loadtest, too) or consumer. Repeat for more. "
            "Default: all.",
            show_default=False,
        ),
    ] = None,
    principal: Annotated[
        str, typer.Option(help="Who the role is on the cluster; {role} stands for its name.")
    ] = "User:hotswap-{role}",
    as_json: AsJson = False,
) -> None:
    """Print the Kafka ACLs that each role needs, as commands of Kafka's own tool. No broker is asked."""

    async def main(settings: "Settings") -> "tuple[tuple[Acl, ...], str]":
        from hotswap_stream import bootstrap
        from hotswap_stream.application.topics.acls import ROLES, acls

        for name in role or ():
            if name not in ROLES:
                raise typer.BadParameter(f"{name!r} is no role; there are {', '.join(ROLES)}", param_hint="--role")
        chosen = tuple(known for known in ROLES if not role or known in role)
        return acls(bootstrap.topics(settings), chosen), settings.kafka_bootstrap_servers or "$BOOTSTRAP_SERVERS"

    found, servers = run(main, needs_cluster=False)
    if as_json:
        print_json(found)
        return
    shown = ""
    for acl in found:
        if acl.role != shown:
            shown = acl.role
            typer.echo(f"# {shown}")
        typer.echo(acl.command(principal.replace("{role}", acl.role), servers))
