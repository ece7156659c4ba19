"""The help: every command in a section, no line longer than the terminal, none cut off."""

from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from hotswap_stream.cli.app import build_app
from hotswap_stream.cli.sections import SECTIONS, first_sentence, in_sections
from hotswap_stream.cli.terminal.completion import complete_models
from tests.support.stages.command_line import command_line

ROOT: Any = typer.main.get_command(build_app())
GROUPS = sorted(name for name, command in ROOT.commands.items() if hasattr(command, "commands"))


def test_every_command_is_in_one_section() -> None:
    names = [name for name, command in ROOT.commands.items() if not command.hidden]
    sections = in_sections(names)
    assert set(dict(sections)) <= set(dict(SECTIONS))
    assert sorted(name for _, members in sections for name in members) == sorted(names)


@pytest.mark.parametrize("columns", [60, 80])
@pytest.mark.parametrize("path", [[], *([name] for name in GROUPS)])
def test_no_line_is_cut_off_or_too_long(path: list[str], columns: int) -> None:
    result = CliRunner().invoke(build_app(), [*path, "--help"], terminal_width=columns)
    commands = result.output.partition("Commands:" if path else "What goes on:")[2]
    assert commands
    assert "..." not in commands
    assert [line for line in commands.splitlines() if len(line) > columns] == []


def test_the_first_sentence_leaves_out_what_a_colon_explains_where_it_is_long() -> None:
    assert first_sentence("Show it: this and that. More.") == "Show it: this and that"
    assert first_sentence(f"Show the workers: {'word ' * 20}. More.") == "Show the workers"
    assert first_sentence(f"Circuits: {'word ' * 20}.").startswith("Circuits: word")


def test_policies_are_shown_and_the_former_name_still_works() -> None:
    group = ROOT.commands["validation-policy"]
    assert {name: command.hidden for name, command in group.commands.items()} == {
        "show": False,
        "get": True,
        "set": False,
    }


def test_no_color_takes_the_colours_away() -> None:
    def coloured(**variables: str) -> bool:
        # To a broker that is not there: the error is red where colours are wanted.
        variables = {"HOTSWAP_KAFKA_BOOTSTRAP_SERVERS": "no such host", **variables}
        return "\x1b[" in CliRunner().invoke(build_app(), ["models"], env=variables, color=True).stderr

    assert coloured()
    assert not coloured(NO_COLOR="1")


def test_completion_is_silent_where_nothing_can_be_asked(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with command_line():
        monkeypatch.setenv("HOTSWAP_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
        assert complete_models("d") == []
    assert capfd.readouterr().out == ""
