"""The next command to try after an error or a refusal."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hotswap_stream.errors import (
    AppendOutcomeUnknownError,
    AuthenticationError,
    ConfigurationError,
    HotswapError,
    LogReplacedError,
    LogUnavailableError,
)

if TYPE_CHECKING:
    from hotswap_events.commands import Refusal

PROGRAM = "hotswap-stream"
_LEADS_TO = {
    "validate": "evaluate {model} {version}",
    "stage": "stage {model} {version}",
    "roll back": "rollback {model}",
    "start": "rollout start {model} VERSION --canary 10%",
    "advance": "rollout show {model}",
    "resume": "rollout show {model}",
    "abort": "rollout show {model}",
}
"""Legal step → the command to look at, or to take, next; never one that forces something."""
CAUSES_MAX = 10
_DENIED_STATUS = (401, 403)
"""Status of a `RefusedError`, as the clients of the API raise it, where the key does not allow it."""
_NOT_ALLOWED = "AuthorizationFailedError"
_DENIED = ("SaslAuthenticationFailed", _NOT_ALLOWED, "SaslAuthenticationFailedError")


def is_denied(error: BaseException) -> bool:
    """Return whether the API or the broker knows the caller not, or does not let it."""
    return any(
        isinstance(cause, AuthenticationError)
        or type(cause).__name__.endswith(_DENIED)
        or getattr(cause, "status", None) in _DENIED_STATUS
        for cause in _causes(error)
    )


def _lacks_rights(error: BaseException) -> bool:
    """Return whether the broker knows the caller, and does not let it."""
    return any(type(cause).__name__.endswith(_NOT_ALLOWED) for cause in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    for _ in range(CAUSES_MAX):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__ or cause.__context__


def after_error(error: HotswapError) -> str | None:
    """Return the command that says more about an error, or mends it; None where none would."""
    if isinstance(error, LogReplacedError):
        return f"{PROGRAM} registry known"
    if is_denied(error):
        return f"{PROGRAM} acls" if _lacks_rights(error) else f"{PROGRAM} context show"
    if type(error).__name__ == "TopicSettingsError":
        return f"{PROGRAM} topics --repair"
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return f"HOTSWAP_API_CA_FILE=FILE, or {PROGRAM} context add NAME --url URL --ca FILE: whom to trust"
    if isinstance(error, LogUnavailableError) or type(error).__name__ == "ApiUnreachableError":
        return f"{PROGRAM} context show"
    if isinstance(error, AppendOutcomeUnknownError):
        return f"{PROGRAM} events --last 5, and then the same command with the same --command-id"
    if isinstance(error, ConfigurationError) and "names an API" in str(error):
        return f"{PROGRAM} context list"
    if isinstance(error, ConfigurationError) and "KAFKA_BOOTSTRAP" in str(error):
        return f"{PROGRAM} up, or {PROGRAM} context add"
    return None


def after_refusal(refusal: "Refusal", model_name: str | None, model_version: str | None = None) -> str | None:
    """Return the command to try after a refusal.

    Args:
        refusal: As it came.
        model_name: The model that it is about, where it is about one.
        model_version: The version that it is about.
    """
    if refusal.code == "unknown-model" or model_name is None:
        return f"{PROGRAM} models" if refusal.code == "unknown-model" else None
    about = {
        "unknown-version": f"{PROGRAM} versions {model_name}",
        "duplicate-version": f"{PROGRAM} versions {model_name}",
        "unknown-rollout": f"{PROGRAM} rollout list {model_name}",
        "unknown-run": f"{PROGRAM} runs list {model_name}",
        "unknown-rule": f"{PROGRAM} alert-policy show {model_name}",
        "unknown-dataset": f"{PROGRAM} dataset list {model_name}",
        "sequence-mismatch": f"{PROGRAM} events --model {model_name} --last 5",
        "conflict": f"{PROGRAM} events --model {model_name} --last 5",
    }
    if refusal.code in about:
        return about[refusal.code]
    if refusal.code != "illegal-step":
        return None
    for step, command in _LEADS_TO.items():
        if step in refusal.legal and ("{version}" not in command or model_version is not None):
            return f"{PROGRAM} {command.format(model=model_name, version=model_version)}"
    return f"{PROGRAM} models show {model_name}"
