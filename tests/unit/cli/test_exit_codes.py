"""Exit codes: one table, and the next command to try."""

from collections.abc import Callable
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from hotswap_events.commands import CommandResult, Refusal
from hotswap_stream.application.topics.check import TopicSettingsError
from hotswap_stream.cli.app import build_app
from hotswap_stream.cli.terminal.exit_codes import EXIT_CODES
from hotswap_stream.cli.terminal.forms import with_forms
from hotswap_stream.cli.terminal.next_steps import after_refusal
from hotswap_stream.cli.terminal.options import AsJson, ModelArgument
from hotswap_stream.cli.terminal.printing import print_result
from hotswap_stream.cli.terminal.running import run
from hotswap_stream.client.errors import RefusedError
from hotswap_stream.errors import (
    AuthenticationError,
    ConfigurationError,
    HotswapError,
    LogReplacedError,
    LogUnavailableError,
)


class TopicAuthorizationFailedError(Exception):
    """As the Kafka client names it."""


def _denied_by_broker() -> HotswapError:
    error = LogUnavailableError("the log cannot be read")
    error.__cause__ = TopicAuthorizationFailedError()
    return error


def _ending(error: BaseException) -> Result:
    async def main(_settings: object) -> None:
        raise error

    def command() -> None:
        run(main)

    app = typer.Typer()
    app.command("it")(command)
    return CliRunner().invoke(app, [])


def test_each_code_stands_once_in_the_table_by_number() -> None:
    assert [each.code for each in EXIT_CODES] == [0, 1, 2, 3, 4, 5, 6, 78, 124, 130]


@pytest.mark.parametrize(
    ("error", "code", "next_command"),
    [
        (HotswapError("no"), 1, None),
        (LogUnavailableError("no"), 1, "context show"),
        (LogReplacedError("another"), 1, "registry known"),
        (AuthenticationError("who?"), 4, "context show"),
        (RefusedError(403, "key-not-allowed", "no"), 4, "context show"),
        (_denied_by_broker(), 4, "acls"),
        (ConfigurationError("HOTSWAP_KAFKA_BOOTSTRAP_SERVERS is not set"), 78, "up, or"),
        (TopicSettingsError("retention"), 78, "topics --repair"),
        (KeyboardInterrupt(), 130, None),
    ],
)
def test_an_error_has_its_code_and_says_what_to_try(error: BaseException, code: int, next_command: str | None) -> None:
    result = _ending(error)
    assert result.exit_code == code
    assert ("try: hotswap-stream " in result.stderr) is (next_command is not None)
    assert (next_command or "") in result.stderr


@pytest.mark.parametrize(("arguments", "code"), [(["--version"], 0), (["promote"], 2), (["no-such-command"], 2)])
def test_usage_and_done(arguments: list[str], code: int) -> None:
    assert CliRunner().invoke(build_app(), arguments).exit_code == code


def _refused(refusal: Refusal) -> Callable[..., Any]:
    def command(model: ModelArgument, version: str = "v2", as_json: AsJson = False) -> None:
        assert version == "v2"
        result = CommandResult(command_id="c", status="refused", model_name=model, refusal=refusal)
        print_result(result, as_json=as_json)

    return command


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        (Refusal(code="unknown-model", reason="no"), "try: hotswap-stream models\n"),
        (Refusal(code="unknown-version", reason="no"), "try: hotswap-stream versions digits\n"),
        (Refusal(code="sequence-mismatch", reason="no"), "try: hotswap-stream events --model digits --last 5\n"),
        (
            Refusal(code="illegal-step", reason="no", legal=("validate", "switch")),
            "try: hotswap-stream evaluate digits v2\n",
        ),
        (Refusal(code="illegal-step", reason="no", legal=("switch",)), "try: hotswap-stream models show digits\n"),
    ],
)
def test_a_refusal_says_what_to_look_at_and_never_what_forces(refusal: Refusal, said: str) -> None:
    app = typer.Typer()
    app.command("it")(with_forms(_refused(refusal)))
    result = CliRunner().invoke(app, ["digits"])
    assert result.exit_code == 3
    assert said in result.stderr


def test_what_is_about_no_model_says_nothing() -> None:
    assert after_refusal(Refusal(code="conflict", reason="no"), None) is None
