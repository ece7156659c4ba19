"""Sources that are here already: an artifact of the store, or a version of this registry."""

import re
from collections.abc import Callable, Mapping

from hotswap_events.commands import Refusal
from hotswap_stream.application.mlflow.entities import aliases_of
from hotswap_stream.application.mlflow.source import (
    SOURCE_CHARACTERS_MAX,
    ImportedModel,
    ModelSource,
    SourceRefusedError,
)
from hotswap_stream.application.mlflow.versions import version_named
from hotswap_stream.application.registry.fold import Stream
from hotswap_stream.application.registry.queries import unknown_model

Streams = Mapping[str, Stream]

_STORED = re.compile(r"hotswap:(sha256:[0-9a-f]{64})")
_OF_MODEL = re.compile(r"models:/+(?P<model>[^/@]+)(?:/(?P<version>[^/@]+)|@(?P<alias>[^/@]+))/?")
"""`models:/m-1f…`, with nothing after it, is a model that MLflow's tracking server logged; that is not here."""


class HereOrElsewhere:
    """A `ModelSource` that knows what is here, and asks another one for all else."""

    def __init__(
        self, streams: Callable[[], Streams], production_alias: str, elsewhere: ModelSource | None = None
    ) -> None:
        self._streams = streams
        self._production_alias = production_alias
        self._elsewhere = elsewhere

    async def imported(self, source: str) -> ImportedModel:
        """See ModelSource."""
        if len(source) > SOURCE_CHARACTERS_MAX:
            raise SourceRefusedError(
                f"the source has {len(source)} characters; at most {SOURCE_CHARACTERS_MAX} are taken"
            )
        if stored := _STORED.fullmatch(source):
            return ImportedModel(artifact_digest=stored[1])
        if source.startswith("hotswap:"):
            raise SourceRefusedError(
                f"source {source[:200]!r} is not valid: an artifact of the store is named as 'hotswap:sha256:' and 64 "
                "lower-case hex digits"
            )
        if of_model := _OF_MODEL.fullmatch(source):
            return ImportedModel(artifact_digest=self._digest(**of_model.groupdict()))
        if self._elsewhere is None:
            raise SourceRefusedError(
                f"source {source[:200]!r} cannot be read here: this server takes 'hotswap:sha256:<digest>', an "
                "artifact of its store, and 'models:/<name>/<version>', a version of its own"
            )
        return await self._elsewhere.imported(source)

    def _digest(self, model: str, version: str | None, alias: str | None) -> str:
        streams = self._streams()
        stream = streams.get(model)
        if stream is None:
            raise SourceRefusedError(unknown_model(streams, model).reason)
        state = stream.state
        if alias is not None:
            aliases = aliases_of(state, self._production_alias)
            if alias not in aliases:
                raise SourceRefusedError(
                    f"{model!r} has no alias {alias[:100]!r}; it has {', '.join(aliases) or 'none yet'}"
                )
            return state.versions[aliases[alias]].artifact.digest
        found = version_named(state, version or "")
        if isinstance(found, Refusal):
            raise SourceRefusedError(found.reason)
        return state.versions[found].artifact.digest
