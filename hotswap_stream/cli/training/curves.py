"""The figures of a run's epochs as lines of a terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from hotswap_events.training.progress import TrainingProgressed

BARS = "▁▂▃▄▅▆▇█"
WIDTH_CHARACTERS = 60
NAME_CHARACTERS_MAX = 40


def print_curves(progress: "TrainingProgressed | None") -> None:
    """Print a line for each figure: how it went over the epochs, from the first to the last."""
    history = () if progress is None else progress.history
    if not history:
        typer.echo("no epochs are known of it (they are told when a run has ended)")
        return
    from hotswap_stream.application.descriptions.text import printable

    names = list(dict.fromkeys(name for epoch in history for name in epoch.figures))
    # Whoever may write to the topic may call a figure anything: nothing in it must reach the terminal as an order.
    shown = {name: printable(name)[:NAME_CHARACTERS_MAX] for name in names}
    width = max(map(len, (*shown.values(), "epoch")))
    for name in names:
        values = [epoch.figures[name] for epoch in history if name in epoch.figures]
        typer.echo(f"{shown[name]:<{width}}  {values[0]:>10.4g} {curve(values)} {values[-1]:.4g}")
    typer.echo(
        f"{'epoch':<{width}}  {history[0].epoch:>10} {'':{min(len(history), WIDTH_CHARACTERS)}} {history[-1].epoch}"
    )


def curve(values: Sequence[float], width: int = WIDTH_CHARACTERS) -> str:
    """Return a line of at most `width` bars, the lowest value the lowest one; each stands for the mean of its part."""
    count = min(width, len(values))
    parts = [values[len(values) * place // count : len(values) * (place + 1) // count] for place in range(count)]
    means = [sum(part) / len(part) for part in parts]
    low, high = min(means), max(means)
    if low == high:
        return BARS[0] * count
    return "".join(BARS[min(len(BARS) - 1, int((mean - low) / (high - low) * len(BARS)))] for mean in means)
