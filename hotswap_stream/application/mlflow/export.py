"""The port that makes an MLflow model directory of a version, for clients that download it."""

from pathlib import Path
from typing import Protocol

from hotswap_events.registry.state import RegistryVersion
from hotswap_stream.errors import HotswapError


class NotExportableError(HotswapError):
    """No MLflow model can be made of the version; the message says why, and what would be right."""


class ModelExport(Protocol):
    """Makes a directory that `mlflow.pyfunc.load_model` reads."""

    async def export(self, model_name: str, version: RegistryVersion, folder: Path) -> None:
        """Write the directory of a version.

        The same version gives the same files. Being cancelled is the stop; who called removes the folder.

        Args:
            model_name: The model.
            version: The version; `version.artifact.digest` is in the artifact store.
            folder: An empty folder; `MLmodel` and what goes with it are written right into it, no links.

        Raises:
            NotExportableError: It cannot be made.
            HotswapError: Those of the artifact store.
        """
        ...
