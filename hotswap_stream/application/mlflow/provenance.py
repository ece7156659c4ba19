"""Where a version of MLflow's comes from, as the registered event says it."""

from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

from hotswap_events.registry.events import Provenance
from hotswap_stream.application.mlflow.entities import FLAVOR, MODEL_ID, RUN_LINK, SOURCE, WARNINGS
from hotswap_stream.application.mlflow.source import ImportedModel
from hotswap_stream.domain.deciding.limits import LABEL_KEY_CHARACTERS_MAX, LABEL_VALUE_CHARACTERS_MAX, LABELS_MAX

FACT_PREFIX = "mlflow."


def provenance_of(
    imported: ImportedModel, *, source: str, created_by: str, run_link: str = "", model_id: str = ""
) -> Provenance:
    """Return what the event says: who, from where, by which flavor, with what beside it.

    Texts are cut, and the least telling left out, where there are more than an event keeps: what somebody else's server
    says of a model must not keep it from being registered.

    Args:
        imported: What became of the source.
        source: As the client named it.
        created_by: Who asks.
        run_link: Where a person finds the run, if the client said so.
        model_id: Under what MLflow's tracking knows the model, if the client said so.
    """
    told = {SOURCE: _public(source), FLAVOR: imported.flavor or "", RUN_LINK: _public(run_link), MODEL_ID: model_id}
    told[WARNINGS] = "; ".join(imported.warnings)
    facts = {f"{FACT_PREFIX}{key}": value for key, value in imported.facts.items()}
    environment: dict[str, str] = {}
    for group in (told, imported.environment, facts):
        _add(environment, group)
    return Provenance(origin="imported", created_by=created_by, environment=environment)


def _add(environment: dict[str, str], group: Mapping[str, str]) -> None:
    for key, value in group.items():
        if value and len(environment) < LABELS_MAX:
            environment.setdefault(key[:LABEL_KEY_CHARACTERS_MAX], _cut(value))


def _public(uri: str) -> str:
    """Return a URI without what may be a secret in it: the log is kept for ever, and read by many."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return uri
    if not parts.netloc:
        return uri
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _cut(text: str) -> str:
    return text if len(text) <= LABEL_VALUE_CHARACTERS_MAX else f"{text[: LABEL_VALUE_CHARACTERS_MAX - 1]}…"
