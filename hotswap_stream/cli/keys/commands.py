"""`keys`: make, show, rotate and revoke the API's keys."""

import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar, get_args

import typer

from hotswap_stream.cli.terminal.options import Actor, AsJson
from hotswap_stream.cli.terminal.printing import print_facts, print_json, print_table
from hotswap_stream.cli.terminal.running import REFUSED, fail_with, run

if TYPE_CHECKING:
    from hotswap_events.keys import Scope
    from hotswap_stream.application.keys.office import KeyOffice
    from hotswap_stream.application.keys.view import KeyWithSecret, ShownKey
    from hotswap_stream.settings import Settings

_Answer = TypeVar("_Answer")

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}

KeyArgument = Annotated[str, typer.Argument(metavar="KEY", help="Id or name of the key.")]
Url = Annotated[
    str | None,
    typer.Option(help="Ask this API instead of the cluster. Default: HOTSWAP_API_URL.", show_default=False),
]
ApiKey = Annotated[
    str | None,
    typer.Option(help="Key with the scope admin, for the API. Default: HOTSWAP_API_KEY.", show_default=False),
]


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(
        help="API keys: who may read, ask models, operate and administer over HTTP.", no_args_is_help=True
    )
    group.command("create")(create)
    group.command("list")(list_keys)
    group.command("show")(show)
    group.command("rotate")(rotate)
    group.command("revoke")(revoke)
    app.add_typer(group, name="keys")


def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who asks with it: the actor in the log.")],
    scope: Annotated[
        list[str],
        typer.Option(
            help="read: what is there. infer: ask models, give feedback. operate: commands, with read. admin: all, "
            "with keys and clean-up. Repeat for more."
        ),
    ],
    actor: Actor,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this model, or all that begin so: 'fraud-*'. Repeat for more. Default: all.", show_default=False
        ),
    ] = None,
    valid: Annotated[
        str | None, typer.Option(help="How long, as in 90d, 12h. Default: until revoked.", show_default=False)
    ] = None,
    signs: Annotated[
        bool,
        typer.Option(
            "--signs", help="It signs commands on the topic, too; what they are signed with is kept with the key then."
        ),
    ] = False,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Make a key. Its secret is made at random and shown this once."""
    scopes = _scopes(scope)
    valid_seconds = None if valid is None else _seconds(valid, "--valid")

    async def question(office: "KeyOffice") -> "KeyWithSecret":
        from hotswap_stream.application.keys.changes import KeyOrder

        return await office.create(
            KeyOrder(name=name, scopes=scopes, models=tuple(model or ()), valid_seconds=valid_seconds, signs=signs)
        )

    _print_secret(_asked(question, actor, url, api_key), as_json=as_json)


def list_keys(actor: Actor, url: Url = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """List all keys, without secrets; not those of HOTSWAP_API_KEYS."""

    async def question(office: "KeyOffice") -> "tuple[ShownKey, ...]":
        return await office.all()

    keys = _asked(question, actor, url, api_key)
    if as_json:
        print_json(keys)
    elif not keys:
        typer.echo("there are no keys; make one: hotswap-stream keys create NAME --scope admin")
    else:
        rows = (
            (key.name, key.key_id, key.state, key.scopes, key.models or "all", _time(key.expires_at)) for key in keys
        )
        print_table(("name", "id", "state", "scopes", "models", "expires"), rows)


def show(key: KeyArgument, actor: Actor, url: Url = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Show one key, without its secret."""

    async def question(office: "KeyOffice") -> "ShownKey":
        return await office.show(key)

    _print(_asked(question, actor, url, api_key), as_json=as_json)


def rotate(
    key: KeyArgument,
    actor: Actor,
    old_valid: Annotated[
        str, typer.Option(help="How long the old secret stays valid, as in 24h, 0s; 90d at most.")
    ] = "24h",
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Give a key a new secret, shown this once. The old one stays valid for a while."""
    seconds = _seconds(old_valid, "--old-valid")

    async def question(office: "KeyOffice") -> "KeyWithSecret":
        return await office.rotate(key, seconds)

    _print_secret(_asked(question, actor, url, api_key), as_json=as_json)


def revoke(
    key: KeyArgument,
    actor: Actor,
    reason: Annotated[str | None, typer.Option(help="Why; it is kept.", show_default=False)] = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """End a key for good, on every server within a moment."""

    async def question(office: "KeyOffice") -> "ShownKey":
        return await office.revoke(key, reason)

    _print(_asked(question, actor, url, api_key), as_json=as_json)


def _asked(
    question: "Callable[[KeyOffice], Awaitable[_Answer]]", actor: str, url: str | None, api_key: str | None
) -> _Answer:
    async def main(settings: "Settings") -> _Answer:
        from hotswap_stream import bootstrap
        from hotswap_stream.application.keys.changes import UnknownKeyError, WrongKeyError
        from hotswap_stream.client.errors import RefusedError
        from hotswap_stream.client.keys import HttpOffice

        chosen = url or settings.api_url
        try:
            if chosen is not None:
                return await question(HttpOffice(chosen, api_key or settings.api_key))
            async with bootstrap.open_keys(settings, actor) as office:
                return await question(office)
        except (RefusedError, UnknownKeyError, WrongKeyError) as error:
            fail_with(error, REFUSED)

    # By an API where one is named, else by the topic of the keys.
    return run(main, needs_cluster=False)


def _print_secret(key: "KeyWithSecret", *, as_json: bool) -> None:
    _print(key, as_json=as_json)
    if not as_json:
        typer.secho(
            "the token is shown this once; give it to clients as X-API-Key, or set HOTSWAP_API_KEY to it", err=True
        )


def _print(key: "ShownKey", *, as_json: bool) -> None:
    if as_json:
        print_json(key)
        return
    facts = {
        "token": getattr(key, "token", None),
        "name": key.name,
        "id": key.key_id,
        "state": key.state,
        "scopes": key.scopes,
        "models": key.models or "all",
        "signs": "commands on the topic" if key.signs else None,
        "created": f"{_time(key.created_at)} by {key.created_by}",
        "expires": _time(key.expires_at),
        "rotated": _time(key.rotated_at),
        "old secret until": _time(key.old_secret_valid_until),
        "revoked": key.revoked_at and f"{_time(key.revoked_at)} by {key.revoked_by}",
        "because": key.revoked_because,
    }
    print_facts(facts)


def _time(when: object) -> str | None:
    return None if when is None else f"{when:%Y-%m-%d %H:%M:%S}Z"


def _scopes(texts: list[str]) -> "tuple[Scope, ...]":
    from hotswap_events.keys import Scope

    known = get_args(Scope)
    for text in texts:
        if text not in known:
            raise typer.BadParameter(f"{text!r} is no scope; there are {', '.join(known)}", param_hint="--scope")
    return tuple(scope for scope in known if scope in texts)


def _seconds(text: str, option: str) -> float:
    found = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no duration such as 30m, 24h or 90d", param_hint=option)
    return int(found[1]) * _SECONDS[found[2]]
