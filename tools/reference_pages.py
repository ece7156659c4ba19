"""Reference pages of topics, settings, legal steps and errors."""

import ast
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any, get_args

import msgspec

from hotswap_events.registry.events import ArtifactFacts, ModelValidated, Provenance, Verdict
from hotswap_stream.domain.deciding.legal_steps import circuit_steps, legal_steps
from hotswap_stream.domain.state.circuits import CircuitPosition
from hotswap_stream.domain.state.model import ModelState, Stage, VersionState
from hotswap_stream.settings import PREFIX, Settings
from tools.channel_catalogue import MODEL_PARAMETER, channels
from tools.field_docs import field_docs
from tools.markdown import GENERATED, code, table
from tools.rollout_steps import rollout_rows

ROOT = Path(__file__).resolve().parent.parent
_DEFAULTS_BY_MACHINE = {"home": "`.hotswap` in the current folder", "cache": "`hotswap-stream` in the user's cache"}


def topics_page() -> str:
    """Return docs/reference/topics.md."""
    rows = []
    for channel in channels():
        spec = channel.spec
        kept = "by key, for ever" if spec.cleanup_policy == "compact" else "for ever"
        if spec.cleanup_policy == "delete" and spec.retention_ms >= 0:
            kept = f"{spec.retention_ms // 86_400_000} days"
        rows.append(
            (
                code(spec.name.replace(f"{{{MODEL_PARAMETER}}}", "<model>")),
                str(spec.partitions),
                kept,
                f"{spec.message_bytes_max // 1_048_576} MiB",
                channel.description,
            )
        )
    return (
        GENERATED + "# Topics\n\n"
        "Names are those of the default prefix `hotswap`; `HOTSWAP_TOPIC_PREFIX` makes another environment. All topics "
        "are created by hotswap-stream before they are used, with three replicas and `min.insync.replicas` 2 where the "
        "cluster has three brokers. An existing topic with another partition count, or with a setting that breaks a "
        "promise, is an error, not a surprise; `hotswap-stream topics` shows what the cluster says, and `--repair` "
        "mends it.\n\n"
        + table(("topic", "partitions", "kept", "largest record", "what is on it"), rows)
        + "\n`hotswap.registry` is stamped with the broker's clock (`LogAppendTime`), so that the state as of a time "
        "can be asked. The agents keep two more topics to themselves, `hotswap.agents.stream-heads` and "
        "`hotswap.agents.analysis` (compacted). The "
        "machine-readable description of all of this is `schemas/asyncapi.yaml`.\n"
    )


def settings_page() -> str:
    """Return docs/reference/settings.md."""
    docs = field_docs(Settings)
    rows = (
        (
            code(PREFIX + field.name.upper()),
            _setting_type(field.type),
            _DEFAULTS_BY_MACHINE.get(field.name) or _default(field.default),
            docs.get(field.name, ""),
        )
        for field in msgspec.structs.fields(Settings)
    )
    return (
        GENERATED + "# Settings\n\n"
        "Settings are environment variables, read once at the start of a process. An empty variable counts as not "
        "set. A variable with the prefix that is not in this table is an error that names the right ones, so a typing "
        "error does not pass for a default.\n\n" + table(("variable", "type", "default", "what"), rows)
    )


def _setting_type(kind: Any) -> str:
    names = {str: "text", int: "integer", float: "number", bool: "true or false", Path: "folder"}
    if kind in names:
        return names[kind]
    options = [option for option in get_args(kind) if option is not type(None)]
    return " or ".join(names.get(option) or code(str(option)) for option in options)


def _default(value: Any) -> str:
    if value is None or value is msgspec.NODEFAULT:
        return "not set"
    return code(str(value))


def legal_steps_page() -> str:
    """Return docs/reference/legal-steps.md."""
    rows = []
    for stage, verdict, was_active in product(get_args(Stage), (None, *get_args(Verdict)), (False, True)):
        if (stage in ("production", "superseded") and not was_active) or (stage == "none" and was_active):
            continue
        state, version = _state_with(stage, verdict, was_active)
        steps = legal_steps(state, version)
        rows.append((stage, verdict or "none yet", "yes" if was_active else "no", ", ".join(map(code, steps))))
    return (
        GENERATED + "# Legal steps\n\n"
        "What may be done with a version, given its stage, its last verdict, and whether it was ever in production. "
        "A step that is not legal is refused with a reason that names the legal ones. `roll back` needs a former "
        "version to return to. `switch` forces a version into production past the validation gate.\n\n"
        "`legal` of a refusal has only what would be accepted in that state with the arguments of the refused command. "
        "What a step needs besides is named with it: `promote with allow_signature_change` is accepted with that field "
        "set to true and not without it, `roll back from v2` must name v2, `switch to v1` is about v1, `open circuit "
        "with without_fallback` takes an outage into account, `register` means that a version must be registered "
        "first.\n\n" + table(("stage", "verdict", "was in production", "legal steps"), rows) + "\n## Circuits\n\n"
        "What may be done with a version's circuit. Entering production closes it. `reset circuit` is the reset by "
        "hand; workers open, half-open and close circuits by the same rules. By hand, `open circuit` needs "
        "`without_fallback` where requests that are answered now would then get no answer.\n\n"
        + table(("circuit", "stage", "legal steps"), _circuit_rows())
        + "\n## Rollouts\n\n"
        "What may be asked of a model's rollout, by its strategy and status. While it bakes after its promotion, "
        "`promote` keeps the version and `abort` returns to the former one.\n\n"
        + table(("strategy", "status", "legal steps"), rollout_rows())
        + "\nRefusals carry a code: "
        + ", ".join(code(value) for value in _refusal_codes())
        + ".\n"
    )


def _circuit_rows() -> list[tuple[str, str, str]]:
    rows: list[tuple[str, str, str]] = []
    for position in get_args(CircuitPosition):
        for label, stage in (("any but archived", "production"), ("archived", "archived")):
            _, version = _state_with(stage, None, True)  # type: ignore[arg-type]
            rows.append((position, label, ", ".join(map(code, circuit_steps(version, position)))))
    return rows


def _state_with(stage: Stage, verdict: Verdict | None, was_active: bool) -> tuple[ModelState, VersionState]:
    validation = None
    if verdict is not None:
        validation = ModelValidated(model_version="v2", verdict=verdict, validation_set="", figures={}, thresholds={})
    version = VersionState(
        model_version="v2",
        stage=stage,
        artifact=ArtifactFacts(digest="", size_bytes=1),
        provenance=Provenance(origin="trained", created_by=""),
        registered_sequence=2,
        registered_at=datetime(2026, 1, 1, tzinfo=UTC),
        run_id=None,
        metrics={},
        tags={},
        validation=validation,
        production_sequences=(3,) if was_active else (),
    )
    former = version.copy()
    former.model_version, former.stage = "v1", "superseded"
    state = ModelState(
        "digits",
        sequence=4,
        active_version="v2" if stage == "production" else None,
        versions={"v1": former, "v2": version},
        production_history=["v1"],
    )
    return state, version


def _refusal_codes() -> tuple[str, ...]:
    from hotswap_events.commands import RefusalCode

    return get_args(RefusalCode)


def errors_page() -> str:
    """Return docs/reference/errors.md."""
    rows = (
        (code(name), code(module), "yes" if retriable else "", doc) for name, module, retriable, doc in _error_classes()
    )
    return (
        GENERATED + "# Errors\n\n"
        "Something went wrong: all of these are `hotswap_stream.errors.HotswapError`. A refused command is none of "
        "them; it is a result with a reason. Retriable means that the same call may succeed later without any change "
        "by the caller.\n\n" + table(("error", "module", "retriable", "when"), rows)
    )


def _error_classes() -> list[tuple[str, str, bool, str]]:
    """Return name, module, retriable, docstring: read from the source, so that nothing has to be imported."""
    classes = {
        node.name: (node, module) for module, tree in _modules() for node in tree.body if isinstance(node, ast.ClassDef)
    }

    def lineage(name: str) -> Iterator[str]:
        while name in classes:
            yield name
            bases = classes[name][0].bases
            name = ast.unparse(bases[0]) if bases else ""

    found = []
    for name, (node, module) in classes.items():
        ancestors = list(lineage(name))
        if ancestors[-1] != "HotswapError" or name == "HotswapError" or name.startswith("_"):
            continue
        retriable = next((value for value in (_retriable(classes[each][0]) for each in ancestors) if value), False)
        doc = " ".join((ast.get_docstring(node) or "").split())
        found.append((name, module, retriable, doc))
    return sorted(found, key=lambda entry: (entry[1], entry[0]))


def _modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted((ROOT / "hotswap_stream").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        yield module, ast.parse(path.read_text(encoding="utf-8"))


def _retriable(node: ast.ClassDef) -> bool:
    return any(
        isinstance(statement, ast.Assign | ast.AnnAssign)
        and ast.unparse(statement).startswith("retriable")
        and isinstance(statement.value, ast.Constant)
        and statement.value.value is True
        for statement in node.body
    )
