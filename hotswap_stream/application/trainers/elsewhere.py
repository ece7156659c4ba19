"""Trainers whose runs are done elsewhere, as the settings of the runner's machine name them."""

from pathlib import Path

from hotswap_stream.application.trainers.commands import trainer_entries
from hotswap_stream.application.webhooks.webhook import url_problem
from hotswap_stream.errors import ConfigurationError

WEBHOOKS = "HOTSWAP_TRAINER_WEBHOOKS"
JOBS = "HOTSWAP_TRAINER_JOBS"


def parse_trainer_webhooks(text: str | None) -> dict[str, str]:
    """Return trainer → URL of its orchestrator. ConfigurationError, which shows of a URL its host alone."""
    found = trainer_entries(WEBHOOKS, text, "URL")
    for name, url in found.items():
        if wrong := url_problem(url):
            raise ConfigurationError(f"{WEBHOOKS}: of {name!r}: {wrong}")
    return found


def parse_trainer_jobs(text: str | None) -> dict[str, Path]:
    """Return trainer → file with the template of its Job. ConfigurationError."""
    return {name: Path(file) for name, file in trainer_entries(JOBS, text, "FILE").items()}
