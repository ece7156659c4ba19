"""The exit codes of all commands, in one table."""

from typing import NamedTuple

DONE = 0
FAILED = 1
USAGE = 2
REFUSED = 3
NOT_AUTHENTICATED = 4
NOT_PROMOTED = 5
WAITS_FOR_PERSON = 6
CONFIGURATION = 78
TIMED_OUT = 124
INTERRUPTED = 130


class ExitCode(NamedTuple):
    """One code, for the reference."""

    code: int
    name: str
    meaning: str


EXIT_CODES = (
    ExitCode(DONE, "done", "The command did what it says, or there was nothing to do."),
    ExitCode(
        FAILED,
        "failed",
        "Something could not be reached, read or written; or what was checked is not as it should be. The same "
        "command may succeed later.",
    ),
    ExitCode(USAGE, "usage", "The command line is wrong: an unknown option, or a value that does not fit."),
    ExitCode(REFUSED, "refused", "The product says no, for a reason that it gives with the steps that are legal."),
    ExitCode(NOT_AUTHENTICATED, "authentication", "The API or the cluster does not know the caller, or lets it not."),
    ExitCode(
        NOT_PROMOTED,
        "ended without promotion",
        "`rollout status --watch`: the rollout ended, and its candidate is not in production.",
    ),
    ExitCode(
        WAITS_FOR_PERSON, "waits for a person", "`rollout status --watch`: it goes on only when somebody says so."
    ),
    ExitCode(CONFIGURATION, "settings", "A setting is missing or wrong: starting again cannot help."),
    ExitCode(TIMED_OUT, "timed out", "`--timeout` is over before what was waited for came."),
    ExitCode(INTERRUPTED, "interrupted", "Ctrl-C, or a signal that ends processes."),
)
"""By code. Nothing in the command line exits with another one."""
SHORT = ", ".join(f"{each.code} {each.name}" for each in EXIT_CODES)
