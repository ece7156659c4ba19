"""Which window a model's requests are taken into: what its versions take, in one rule."""

from collections.abc import Iterable

from msgspec.structs import replace

from hotswap_events.inference.windows import WindowRule
from hotswap_stream.application.artifacts.manifest import ArtifactManifest


def rule_of(manifest: ArtifactManifest) -> WindowRule | None:
    """Return what one version takes; None if it takes no window."""
    window = manifest.window
    if window is None:
        return None
    spec = next(spec for spec in manifest.inputs if spec.name == window.input)
    if spec.datatype == "BYTES":  # the manifest's own rules do not allow it
        raise ValueError(f"input {spec.name!r} is of datatype BYTES; a window holds numbers")
    return WindowRule(
        input=spec.name,
        datatype=spec.datatype,
        features=spec.shape[2],
        steps=window.steps,
        allow_non_finite=manifest.allow_non_finite,
    )


def same_series(one: WindowRule, other: WindowRule) -> bool:
    """Return whether the steps of one serve the other."""
    return (one.input, one.datatype, one.features) == (other.input, other.datatype, other.features)


def joint_rule(serving: ArtifactManifest | None, loaded: Iterable[ArtifactManifest]) -> WindowRule | None:
    """Return the rule of a model.

    Where versions take different series, the serving one is right, else the first loaded; of those that take the same,
    the one that takes the most steps.
    """
    rules = [rule for rule in map(rule_of, loaded) if rule is not None]
    first = None if serving is None else rule_of(serving)
    if first is None:
        if not rules:
            return None
        first = rules[0]
    return replace(first, steps=max([first.steps, *(rule.steps for rule in rules if same_series(rule, first))]))


def next_rule(kept: WindowRule | None, wanted: WindowRule) -> WindowRule:
    """Return the rule to go on with.

    Windows do not get shorter while they hold the same series, so that a version that takes more steps can come back.
    """
    if kept is None or not same_series(kept, wanted):
        return wanted
    return replace(wanted, steps=max(kept.steps, wanted.steps))
