"""The sections of the help: commands in the order in which an operator looks for them."""

from typing import Any

import typer.core

SECTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "What goes on",
        (
            "status",
            "open",
            "top",
            "models",
            "versions",
            "compare",
            "fleet",
            "alerts",
            "events",
            "why",
            "windows",
            "drift",
        ),
    ),
    ("Act at once", ("rollback", "switch", "disable", "enable", "circuit")),
    ("New versions", ("publish", "register", "validate", "evaluate", "stage", "promote", "reload", "rollout")),
    ("Answers and their truth", ("feedback", "audit")),
    (
        "Rules per model",
        (
            "alert-policy",
            "serving-policy",
            "validation-policy",
            "validation-set",
            "retention",
            "profile",
            "make-heuristic",
        ),
    ),
    ("Train", ("train", "runs", "triggers", "dataset", "generate-data", "mlflow")),
    ("Keep order", ("tag", "alias", "archive", "export", "cleanup", "artifacts", "plugins")),
    (
        "Run",
        (
            "up",
            "serve",
            "watch",
            "demo",
            "broker",
            "topics",
            "agents",
            "worker",
            "trainers",
            "do-run",
            "api",
            "loadtest",
        ),
    ),
    ("Look after the deployment", ("doctor", "healthy", "webhooks", "registry", "reset")),
    ("Who may do what, and where", ("context", "keys", "acls")),
)
"""Title → names of root commands. A name may be of a command that an installation does not have."""
OTHER = "Other"


def in_sections(names: list[str]) -> list[tuple[str, list[str]]]:
    """Return title → commands for those that there are; what no section names comes last, as `Other`."""
    sections = [(title, [name for name in members if name in names]) for title, members in SECTIONS]
    named = {name for _, members in SECTIONS for name in members}
    sections.append((OTHER, [name for name in names if name not in named]))
    return [(title, members) for title, members in sections if members]


class WholeSentences(typer.core.TyperGroup):
    """A group whose help gives the first sentence of each command as a whole, over several lines if need be."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Write the commands."""
        self._write(formatter, "Commands", [name for name in self.commands if not self.commands[name].hidden])

    def _write(self, formatter: Any, title: str, names: list[str]) -> None:
        if names:
            with formatter.section(title):
                formatter.write_dl([(name, first_sentence(self.commands[name].help or "")) for name in names])


class Sectioned(WholeSentences):
    """The root: its commands in sections."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Write the sections."""
        for title, names in in_sections([name for name in self.commands if not self.commands[name].hidden]):
            self._write(formatter, title, names)


def first_sentence(text: str) -> str:
    """Return the first sentence of a command's help, without its full stop; what a colon explains is left out."""
    first = " ".join(text.split()).partition(". ")[0].rstrip(".")
    before = first.partition(": ")[0]
    return before if len(first) > SENTENCE_CHARACTERS_MAX and before.count(" ") >= WORDS_MIN - 1 else first


SENTENCE_CHARACTERS_MAX = 60
"""Above it what follows a colon is left to the command's own help, if what comes before says enough."""
WORDS_MIN = 2
