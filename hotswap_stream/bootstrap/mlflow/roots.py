"""Below which places models of MLflow may be read."""

from pathlib import Path

from hotswap_stream.errors import ConfigurationError
from hotswap_stream.settings import PREFIX, Settings


def parse_mlflow_roots(settings: Settings) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Return the folders and the places in S3 below which models may be read. ConfigurationError if one is none."""
    folders = tuple(filter(None, (part.strip() for part in (settings.mlflow_file_roots or "").split(","))))
    places = tuple(filter(None, (part.strip() for part in (settings.mlflow_s3_roots or "").split(","))))
    for folder in folders:
        if not Path(folder).is_absolute():
            raise ConfigurationError(f"{PREFIX}MLFLOW_FILE_ROOTS: {folder[:200]!r} is no absolute path")
    for place in places:
        if not place.startswith("s3://") or not place.removeprefix("s3://").strip("/"):
            raise ConfigurationError(f"{PREFIX}MLFLOW_S3_ROOTS: {place[:200]!r} is not as s3://bucket/prefix")
    return tuple(Path(folder) for folder in folders), places
