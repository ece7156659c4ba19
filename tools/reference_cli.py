"""Reference page of the command line, from the commands themselves."""

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import typer

from hotswap_stream.cli.app import EPILOG, build_app
from hotswap_stream.cli.terminal.exit_codes import EXIT_CODES
from tools.markdown import GENERATED, code, fenced, table


def cli_page() -> str:
    """Return docs/reference/cli.md."""
    root = typer.main.get_command(build_app())
    commands = list(_commands(root, "hotswap-stream"))
    parts = [
        GENERATED + f"# Command line\n\n{EPILOG}\n\n",
        table(
            ("command", "what"), ((f"[`{name}`](#{_anchor(name)})", _summary(command)) for name, command in commands)
        ),
    ]
    parts.append(
        "\n## Exit codes\n\n"
        + table(("code", "name", "when"), ((code(str(each.code)), each.name, each.meaning) for each in EXIT_CODES))
    )
    for name, command in commands:
        parts.append(f"\n## {name}\n\n{_help(command)}\n\n" + fenced(_usage(name, command), "text"))
        rows = [_row(parameter) for parameter in command.params if not _is_help(parameter)]
        if rows:
            parts.append("\n" + table(("argument or option", "default", "what"), rows))
    return "".join(parts)


def command_names() -> dict[str, set[str]]:
    """Return full name of each command → the options it takes; for checking what documents say."""
    root = typer.main.get_command(build_app())
    return {
        name: {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        for name, command in _commands(root, "hotswap-stream")
    }


def _commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", None)
    if children is None or command.invoke_without_command:
        yield name, command
    for child_name, child in (children or {}).items():
        if not child.hidden:
            yield from _commands(child, f"{name} {child_name}")


def _anchor(name: str) -> str:
    return name.replace(" ", "-")


def _help(command: Any) -> str:
    return " ".join((command.help or "").split())


def _summary(command: Any) -> str:
    return _help(command).partition(". ")[0].rstrip(".") + "."


def _usage(name: str, command: Any) -> str:
    arguments = [_name(parameter) for parameter in command.params if parameter.param_type_name == "argument"]
    has_options = any(parameter.param_type_name == "option" and not _is_help(parameter) for parameter in command.params)
    return " ".join([name, *(["[OPTIONS]"] if has_options else []), *arguments])


def _is_help(parameter: Any) -> bool:
    return "--help" in parameter.opts


def _name(parameter: Any) -> str:
    metavar = parameter.metavar or parameter.name.upper()
    return metavar if parameter.required or metavar.startswith("[") else f"[{metavar}]"


def _row(parameter: Any) -> tuple[str, str, str]:
    if parameter.param_type_name == "argument":
        return code(_name(parameter)), "", parameter.help or ""
    names = ", ".join(code(name) for name in parameter.opts)
    if parameter.secondary_opts:
        names += " / " + ", ".join(code(name) for name in parameter.secondary_opts)
    if not parameter.is_flag:
        names += " " + code(_value(parameter))
    default = parameter.default
    is_shown = default not in (None, False, (), []) and not callable(default) and not parameter.is_flag
    return names, code(str(default)) if is_shown else ("needed" if parameter.required else ""), parameter.help or ""


def _value(parameter: Any) -> str:
    if parameter.metavar:
        return str(parameter.metavar)
    annotation = parameter.type_descriptor.annotation
    choices = get_args(annotation)
    if get_origin(annotation) is Literal:
        return "|".join(map(str, choices))
    return str(getattr(annotation, "__name__", "text")).upper().replace("STR", "TEXT")
