"""What MLflow's clients get."""

from msgspec import Struct

from hotswap_stream.application.mlflow.entities import ModelVersion, RegisteredModel


class Nothing(Struct, frozen=True):
    """There is nothing to say but that it was done."""


class OneModel(Struct, frozen=True):
    """A model."""

    registered_model: RegisteredModel


class ManyModels(Struct, frozen=True):
    """A page of models."""

    registered_models: tuple[RegisteredModel, ...]
    next_page_token: str


class OneVersion(Struct, frozen=True):
    """A version."""

    model_version: ModelVersion


class ManyVersions(Struct, frozen=True):
    """Versions."""

    model_versions: tuple[ModelVersion, ...]


class PageOfVersions(Struct, frozen=True):
    """A page of versions."""

    model_versions: tuple[ModelVersion, ...]
    next_page_token: str


class DownloadUri(Struct, frozen=True):
    """Where a client reads the files of a version."""

    artifact_uri: str
