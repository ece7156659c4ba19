"""Where a model lies, as MLflow writes it: a folder, S3, or something that a tracking server knows."""

import re
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from hotswap_stream.application.mlflow.importing.folder import plain_name
from hotswap_stream.application.mlflow.source import SOURCE_CHARACTERS_MAX, SourceRefusedError

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


class FolderAddress(Struct, frozen=True):
    """A folder of a machine's disk."""

    path: str


class S3Address(Struct, frozen=True):
    """A folder in a bucket."""

    bucket: str
    prefix: str

    @property
    def url(self) -> str:
        """The same as a URL."""
        return f"s3://{self.bucket}/{self.prefix}"


class ServedAddress(Struct, frozen=True):
    """A folder among the artifacts that a tracking server serves itself."""

    host: str
    """With the port; empty: of the server that is asked anyway."""
    path: str


class RunAddress(Struct, frozen=True):
    """What a run logged."""

    run_id: str
    path: str


class LoggedAddress(Struct, frozen=True):
    """A logged model."""

    model_id: str


class RegisteredAddress(Struct, frozen=True):
    """A version in the server's registry, by its number or an alias."""

    name: str
    model_version: str | None = None
    alias: str | None = None


ServerAddress = RunAddress | LoggedAddress | RegisteredAddress
Address = FolderAddress | S3Address | ServedAddress | ServerAddress


def read_address(source: str) -> Address:
    """Return what a source names.

    Raises:
        SourceRefusedError: Nothing that models are imported from.
    """
    if not 0 < len(source) <= SOURCE_CHARACTERS_MAX or not source.isprintable():
        raise _nothing(source)
    try:
        parts = urlsplit(source)
    except ValueError as error:
        raise _nothing(source) from error
    path = unquote(parts.path)
    if not path.isprintable() or (parts.scheme and (parts.query or parts.fragment)):
        raise _nothing(source)
    match parts.scheme:
        case "" | "file" if parts.netloc in ("", "localhost"):
            return FolderAddress(path if parts.scheme else source)
        case "s3" if parts.netloc:
            return S3Address(parts.netloc, _inner(path, source))
        case "mlflow-artifacts":
            return ServedAddress(parts.netloc.rpartition("@")[2], _inner(path, source))
        case "runs" if not parts.netloc:
            run_id, _, inner = path.strip("/").partition("/")
            if _ID.fullmatch(run_id):
                return RunAddress(run_id, _inner(inner, source))
        case "models" if not parts.netloc:
            return _of_models(path.strip("/"), source)
    raise _nothing(source)


def _of_models(text: str, source: str) -> ServerAddress:
    name, slash, model_version = text.rpartition("/")
    if slash and name and model_version.isascii() and model_version.isdigit() and "/" not in name:
        return RegisteredAddress(name, model_version=model_version)
    name, at, alias = text.rpartition("@")
    if at and name and alias and "/" not in text:
        return RegisteredAddress(name, alias=alias)
    if text.startswith("m-") and _ID.fullmatch(text):
        return LoggedAddress(text)
    raise SourceRefusedError(
        f"{source[:200]!r} names no version: models:/NAME/3, models:/NAME@alias or models:/m-… is needed"
    )


def _inner(path: str, source: str) -> str:
    return plain_name(path.strip("/"), f"the path of {source[:200]!r}")


def _nothing(source: str) -> SourceRefusedError:
    return SourceRefusedError(
        f"{source[:200]!a} is nothing that models are imported from: a folder (file:), s3:, mlflow-artifacts:, runs:/ "
        "or models:/ is needed"
    )
