"""`-o`: one command's answer as a table, as JSON, JSON lines, YAML, and as names."""

import json
from typing import Annotated, Any

import pytest
import typer
import yaml
from msgspec import Struct
from typer.testing import CliRunner, Result

from hotswap_events.commands import CommandResult, Refusal
from hotswap_stream.cli.app import build_app
from hotswap_stream.cli.terminal.forms import with_forms
from hotswap_stream.cli.terminal.options import AsJson
from hotswap_stream.cli.terminal.printing import print_json, print_json_line, print_result, print_table


class Entry(Struct):
    model_name: str
    offset: int


class Listed(Struct):
    model_name: str
    entries: tuple[Entry, ...]


ENTRIES = (Entry("digits", 1), Entry("fraud", 2))
PRINT_NOTHING_OR_ONE_LINE = {
    "up", "worker", "agents", "api", "broker", "demo", "run-training", "run-trainer",  # until stopped, or a story
    "run-dataset-build", "do-run", "run-api-process",
    "serve", "watch",  # until stopped
    "generate-data", "validation-set pack", "dataset export",  # `--output` is their file
    "webhooks secret", "open",  # the secret, the address, and nothing else
}  # fmt: skip


def _run(command: Any, *arguments: str) -> Result:
    app = typer.Typer()
    app.command("it")(with_forms(command))
    return CliRunner().invoke(app, arguments)


def _listing(as_json: AsJson = False) -> None:
    if as_json:
        print_json(ENTRIES)
    else:
        print_table(("model", "offset"), ((each.model_name, each.offset) for each in ENTRIES))


def test_every_form_of_a_list() -> None:
    as_documents = [{"model_name": "digits", "offset": 1}, {"model_name": "fraud", "offset": 2}]
    assert json.loads(_run(_listing, "--json").stdout) == as_documents
    assert _run(_listing, "-o", "json").stdout == _run(_listing, "--json").stdout
    assert [json.loads(line) for line in _run(_listing, "-o", "jsonl").stdout.splitlines()] == as_documents
    assert yaml.safe_load(_run(_listing, "-o", "yaml").stdout) == as_documents
    assert _run(_listing, "-o", "name").stdout == "digits\nfraud\n"
    assert _run(_listing, "-o", "table").stdout == _run(_listing).stdout == _run(_listing, "-o", "wide").stdout


def test_json_and_another_form_exclude_each_other() -> None:
    result = _run(_listing, "--json", "-o", "yaml")
    assert result.exit_code == 2
    assert "exclude each other" in result.stderr


def test_entries_inside_an_object_have_lines_and_names_of_their_own() -> None:
    def command(as_json: AsJson = False) -> None:
        assert as_json
        print_json(Listed("digits", ENTRIES), listed="entries", named_by=("offset",))

    assert _run(command, "-o", "name").stdout == "1\n2\n"
    assert len(_run(command, "-o", "jsonl").stdout.splitlines()) == 2
    assert json.loads(_run(command, "--json").stdout)["model_name"] == "digits"


def test_documents_that_come_one_after_the_other() -> None:
    def command(as_json: AsJson = False) -> None:
        assert as_json
        for entry in ENTRIES:
            print_json_line(entry, named_by=("offset",))

    assert [each["offset"] for each in yaml.safe_load_all(_run(command, "-o", "yaml").stdout)] == [1, 2]
    assert _run(command, "-o", "name").stdout == "1\n2\n"
    assert _run(command, "--json").stdout == _run(command, "-o", "jsonl").stdout


@pytest.mark.parametrize(("form", "on_stdout"), [("json", True), ("yaml", True), ("name", False)])
def test_a_refusal_is_a_document_but_no_name(form: str, on_stdout: bool) -> None:
    def command(as_json: AsJson = False) -> None:
        refusal = Refusal(code="unknown-model", reason="there is no such model")
        print_result(CommandResult(command_id="c", status="refused", model_name="m", refusal=refusal), as_json=as_json)

    result = _run(command, "-o", form)
    assert result.exit_code == 3
    assert ("unknown-model" in result.stdout) is on_stdout
    assert ("unknown-model" in result.stderr) is not on_stdout


def test_another_option_o_is_an_error_of_whoever_writes_the_command() -> None:
    def command(out: Annotated[str, typer.Option("--output", "-o")], as_json: AsJson = False) -> None:
        """Print nothing."""

    with pytest.raises(ValueError, match="another -o"):
        with_forms(command)


def test_every_command_that_prints_has_the_forms() -> None:
    def lacking(command: Any, path: tuple[str, ...]) -> list[str]:
        children = [
            name for child, each in getattr(command, "commands", {}).items() for name in lacking(each, (*path, child))
        ]
        options = {name for parameter in command.params for name in parameter.opts}
        is_one = not hasattr(command, "commands") or command.invoke_without_command
        return [*([" ".join(path)] if is_one and "--output-format" not in options else []), *children]

    assert set(lacking(typer.main.get_command(build_app()), ())) - {""} <= PRINT_NOTHING_OR_ONE_LINE
