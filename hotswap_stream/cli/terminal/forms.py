"""The forms in which a command prints: tables for people, documents for programs.

A command says `as_json` where it can print a document; `with_forms` adds `-o` to it. So a command knows two cases only,
a table or a document, and which of the four documents it is is decided here.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Annotated, Any, Literal, get_args

import typer

Form = Literal["table", "wide", "json", "jsonl", "yaml", "name"]
TABLES: tuple[Form, ...] = ("table", "wide")
FORM_OPTION = "output_form"
FORM_NAMES = ("-o", "--output-format")

OutputForm = Annotated[
    Form | None,
    typer.Option(
        *FORM_NAMES,
        help="How to print: table, wide (no column left out), json, jsonl (a line per entry), yaml, or name (only the "
        "names). Default: table.",
        show_default=False,
    ),
]

_form: ContextVar[Form] = ContextVar("form", default="table")


_about: ContextVar[tuple[str | None, str | None]] = ContextVar("about", default=(None, None))


def asked_about() -> tuple[str | None, str | None]:
    """Return the model and the version that this command was given, as far as it was given any."""
    return _about.get()


def form() -> Form:
    """Return the form in which this command prints."""
    return _form.get()


@contextmanager
def printing_as(wanted: Form) -> Iterator[None]:
    """Print in this form inside the block."""
    token = _form.set(wanted)
    try:
        yield
    finally:
        _form.reset(token)


def with_forms(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return the command with `-o` beside its `--json`; a command without `--json` is returned as it is."""
    signature = inspect.signature(command)
    as_json = signature.parameters.get("as_json")
    if as_json is None or get_args(as_json.annotation)[:1] != (bool,):
        return command
    taken = {name for parameter in signature.parameters.values() for name in _names(parameter)}
    if twice := [name for name in FORM_NAMES if name in taken]:
        raise ValueError(f"{command.__name__} has another {twice[0]}")

    def chosen(*arguments: Any, **options: Any) -> Any:
        wanted: Form | None = options.pop(FORM_OPTION)
        if options["as_json"]:
            if wanted not in (None, "json"):
                raise typer.BadParameter(f"--json and -o {wanted} exclude each other", param_hint="-o")
            wanted = "json"
        options["as_json"] = wanted not in (None, *TABLES)
        token = _about.set(
            (_text(options.get("model")), _text(options.get("version")) or _only(options.get("candidates")))
        )
        try:
            with printing_as(wanted or "table"):
                return command(*arguments, **options)
        finally:
            _about.reset(token)

    added = inspect.Parameter(FORM_OPTION, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=OutputForm)
    every = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in (*signature.parameters.values(), added)
    ]
    # typer reads these two.
    chosen.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
    chosen.__annotations__ = {parameter.name: parameter.annotation for parameter in every}
    chosen.__name__, chosen.__doc__ = command.__name__, command.__doc__
    return chosen


def _names(parameter: inspect.Parameter) -> tuple[str, ...]:
    """Return the names of an option on the command line."""
    return tuple(
        name
        for made in get_args(parameter.annotation)[1:]
        for name in (getattr(made, "default", None), *(getattr(made, "param_decls", None) or ()))
        if isinstance(name, str)
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _only(values: Any) -> str | None:
    return _text(values[0]) if isinstance(values, list | tuple) and len(values) == 1 else None


NAMED_BY = ("rollout_id", "model_version", "model_name", "worker", "name", "topic", "offset")
"""What names an entry, unless a command says otherwise: the first of these that it has."""


def document(value: Any, *, named_by: Sequence[str] = NAMED_BY, listed: str | None = None) -> Iterator[str]:
    """Yield a value's texts in the form of this command.

    Args:
        value: What is to be printed; whatever msgspec encodes.
        named_by: Which field names an entry, the first that is there; a dot leads into a field's fields.
        listed: The field with the entries, where the value is no list itself.
    """
    import msgspec

    wanted = form()
    entries: Any = value if listed is None else getattr(value, listed)
    if not isinstance(entries, list | tuple):
        entries = (entries,)
    if wanted == "yaml":
        import yaml

        yield yaml.safe_dump(_plain(value), sort_keys=False, allow_unicode=True, width=120).rstrip("\n")
    elif wanted == "name":
        yield from filter(None, (_name(entry, named_by) for entry in _plain(entries)))
    elif wanted == "jsonl":
        yield from (msgspec.json.encode(entry).decode() for entry in entries)
    else:
        yield msgspec.json.format(msgspec.json.encode(value)).decode()


def line(value: Any, *, named_by: Sequence[str] = NAMED_BY) -> Iterator[str]:
    """Yield the texts of one of several documents that come one after the other, such as events."""
    import msgspec

    if form() == "yaml":
        yield "---"
    if form() in ("yaml", "name"):
        yield from document(value, named_by=named_by)
    else:
        yield msgspec.json.encode(value).decode()


def _plain(value: Any) -> Any:
    import msgspec

    return msgspec.json.decode(msgspec.json.encode(value))


def _name(entry: Any, named_by: Sequence[str]) -> str | None:
    if not isinstance(entry, dict):
        return str(entry)
    for path in named_by:
        found: Any = entry
        for part in path.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        if found is not None:
            return str(found)
    return None
