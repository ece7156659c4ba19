"""Which versions might answer at each offset of the registry log, by the fold that the workers run as well."""

from collections.abc import Iterable

from hotswap_events.registry.events import ModelRolledBack
from hotswap_stream.application.log.port import LogRecord
from hotswap_stream.application.registry.fold import Applied, RegistryFold
from hotswap_stream.domain.state.model import ModelState

VALUE_TAG = "torture-value"
"""Tag of a version: the number that its weights are made from."""


def versions_allowed(state: ModelState) -> frozenset[str]:
    """The versions that may answer while the registry says `state`: the active one."""
    return frozenset() if state.active_version is None else frozenset({state.active_version})


class VersionHistory:
    """The whole log of one model."""

    def __init__(self) -> None:
        self.swaps = 0
        """Changes of the active version."""
        self.rollbacks_by_fleet = 0
        """Those made because no worker could load the version that was active."""
        self._allowed: dict[int, frozenset[str]] = {}
        self._digests: dict[str, str] = {}
        self._values: dict[str, int] = {}

    @classmethod
    def of(cls, records: Iterable[LogRecord], model_name: str) -> "VersionHistory":
        """Fold the records, all from the first on."""
        history, fold = cls(), RegistryFold()
        active = None
        for record in records:
            outcome = fold.apply(record)
            if not isinstance(outcome, Applied) or outcome.event.subject != model_name:
                continue
            state = fold.state(model_name)
            history._allowed[record.offset] = versions_allowed(state)
            if state.active_version != active:
                active = state.active_version
                history.swaps += 1
                data = outcome.event.data
                history.rollbacks_by_fleet += isinstance(data, ModelRolledBack) and data.cause == "load-failed"
        for version in fold.state(model_name).versions.values():
            history._digests[version.model_version] = version.artifact.digest
            if VALUE_TAG in version.tags:
                history._values[version.model_version] = int(version.tags[VALUE_TAG])
        return history

    def allowed_at(self, registry_offset: int) -> frozenset[str]:
        """None at an offset that holds no event of the model that counts."""
        return self._allowed.get(registry_offset, frozenset())

    def digest(self, model_version: str) -> str | None:
        """Return the digest of the artifact registered under this name."""
        return self._digests.get(model_version)

    def value(self, model_version: str) -> int | None:
        """What its weights are made from."""
        return self._values.get(model_version)
