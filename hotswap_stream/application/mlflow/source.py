"""The port to where MLflow's clients say that a model lies: `source` of a version they create."""

from typing import Protocol

from msgspec import Struct

from hotswap_stream.errors import HotswapError

SOURCE_CHARACTERS_MAX = 4_096


class SourceRefusedError(HotswapError):
    """Nothing can be imported from there, whoever tries again; the message says why, and what would be right."""


class SourceUnavailableError(HotswapError):
    """Where the model lies did not answer; the same call may succeed later."""

    retriable = True


class ImportedModel(Struct, frozen=True, kw_only=True):
    """A model that passed its trial and is in the artifact store.

    What the registry says of the artifact (size, signature, trial) is read from the store and from the memory of
    trials, as for every registration.
    """

    artifact_digest: str
    """`sha256:<64 hex digits>`."""
    flavor: str | None = None
    """Which of MLflow's flavors it was made of; None for what is no MLflow model."""
    environment: dict[str, str] = {}
    """Versions that matter for doing it again, for the provenance: `python`, `mlflow`, `scikit-learn` …"""
    facts: dict[str, str] = {}
    """More for the provenance: what was compared and how far it differs, the model's id. At most 16 entries."""
    metrics: dict[str, float] = {}
    """What training measured, if the source says so."""
    warnings: tuple[str, ...] = ()
    """What people should know before they promote it."""


class ModelSource(Protocol):
    """Fetches a model, makes an artifact of it where it is none, tries it, and puts it into the store."""

    async def imported(self, source: str) -> ImportedModel:
        """Import a model.

        Being cancelled is the stop: then nothing of it is left, neither processes nor files.

        Args:
            source: A URI as MLflow's clients send it: `file:`, a path, `s3:`, `mlflow-artifacts:`, `models:/m-…`,
                `http:`; or `hotswap:sha256:<hex>`, an artifact that is in the store. It comes from outside.

        Raises:
            SourceRefusedError: Nothing of this kind is taken, or what lies there is no model that can be taken.
            SourceUnavailableError: It could not be read just now.
            ArtifactFormatError: What lies there can be no artifact; the message says what it is.
            ArtifactTooLargeError: It has too many bytes.
            TrialFailedError: It cannot be served.
            HotswapError: Those of the artifact store.
        """
        ...
