"""A loader for tests of what stands before and after a model: every artifact is the same small model, without torch."""

from hotswap_events.registry.version_options import PLAIN, VersionOptions
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.swap.loader import Arrays
from tests.support.samples.artifacts import linear_manifest


class LinearModel:
    """Four features in, two numbers out."""

    manifest: ArtifactManifest = linear_manifest()
    executor = "none"

    def padded_rows(self, rows: int) -> int:
        return rows

    def infer(self, inputs: Arrays) -> Arrays:
        return {"y": inputs["x"][:, :2]}

    def close(self) -> None:
        return None


class LinearLoader:
    """Loads whatever is asked for."""

    async def load(
        self,
        digest: str,  # noqa: ARG002  # all are the same
        options: VersionOptions = PLAIN,  # noqa: ARG002
        *,
        graph_digest: str | None = None,  # noqa: ARG002
    ) -> LinearModel:
        return LinearModel()

    def close(self) -> None:
        return None
