"""What a trial found, on the terminal."""

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from hotswap_stream.application.artifacts.manifest import TensorSpec
    from hotswap_stream.application.artifacts.trial import TrialPassed

OUTPUTS_SHOWN_MAX = 8


def print_trial(tried: "TrialPassed", *, as_json: bool) -> None:
    """Print what goes in and out and what it took; with `as_json` to standard error, warnings alone."""
    for warning in tried.warnings:
        typer.secho(f"warning: {warning}", err=True, fg="yellow")
    if as_json:
        return
    manifest, facts = tried.manifest, tried.facts
    for what, specs in (("takes", manifest.inputs), ("returns", manifest.outputs)):
        shown = ", ".join(_shown(spec) for spec in specs[:OUTPUTS_SHOWN_MAX])
        more = f" and {len(specs) - OUTPUTS_SHOWN_MAX} more" if len(specs) > OUTPUTS_SHOWN_MAX else ""
        typer.echo(f"{what} {shown}{more}")
    batches = "in batches" if manifest.has_rows else "one by one"
    typer.echo(
        f"tried with {facts.executor}, requests {batches}: loaded in {facts.load_ms:.0f} ms, "
        f"{facts.resident_bytes / 1e6:.0f} MB, first answer {facts.first_ms:.1f} ms, then {facts.warm_ms:.2f} ms"
    )


def _shown(spec: "TensorSpec") -> str:
    sizes = ", ".join("free" if size == -1 else str(size) for size in spec.shape)
    return f"{spec.name} {spec.datatype} [{sizes}]"
