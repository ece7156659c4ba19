"""Seeded measurements of 50 servers with a daily shape, incidents and gaps, and what a forecaster makes of them."""

from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

SERVERS = 50
METRICS = ("cpu", "memory", "disk", "network")
DAY = 288
"""Steps of five minutes."""
HISTORY, AHEAD = 288, 96
GAP_STEPS_MAX = 3
"""Shorter gaps are filled with the last value."""
SPREAD_MIN = 1e-4


def measurements(days: int, seed: int = 5) -> Any:
    """Return what was measured, [servers, steps, metrics]; NaN where nothing came."""
    random = np.random.default_rng(seed)
    steps = days * DAY
    time = np.arange(steps) / DAY
    shape = (SERVERS, 1, len(METRICS))
    phase = random.normal(0.0, 0.05, (SERVERS, 1, 1))
    found = random.uniform(20, 50, shape) + random.normal(0.0, 0.4, shape) * time[None, :, None]
    for harmonic in (1, 2, 3):
        wave = np.sin(2 * np.pi * harmonic * (time[None, :, None] + phase) + random.uniform(0, 6, (1, 1, len(METRICS))))
        found = found + random.uniform(4, 12, shape) * wave / harmonic
    found += random.normal(0.0, 0.8, found.shape)
    for server in range(SERVERS):
        for _incident in range(random.poisson(days / 4)):
            begin, length = int(random.integers(0, steps)), int(random.integers(6, 36))
            found[server, begin : begin + length] += random.uniform(10, 30, len(METRICS))
        for _gap in range(random.poisson(days / 2)):
            begin, length = int(random.integers(HISTORY, steps)), int(random.integers(1, 8))
            found[server, begin : begin + length] = np.nan
    return found.astype(np.float32)


def filled(series: Any, gap_steps_max: int | None = None) -> Any:
    """Return the series with gaps filled by the last value; those that are longer than `gap_steps_max` stay."""
    found = series.copy()
    for server in range(len(found)):
        missing = 0
        for step in range(found.shape[1]):
            missing = missing + 1 if np.isnan(series[server, step]).any() else 0
            if missing and step and (gap_steps_max is None or missing <= gap_steps_max):
                found[server, step] = found[server, step - 1]
    return found


def windows(series: Any, *, stride: int) -> tuple[dict[str, Any], int]:
    """Return windows as a dataset has them, and how many were left out for their gaps."""
    history, target, left_out = [], [], 0
    whole = filled(series, GAP_STEPS_MAX)
    for start in range(0, whole.shape[1] - HISTORY - AHEAD + 1, stride):
        for server in whole:
            window = server[start : start + HISTORY + AHEAD]
            if np.isnan(window).any():
                left_out += 1
                continue
            history.append(window[:HISTORY])
            target.append(window[HISTORY:])
    return {"history": np.stack(history), "target": np.stack(target)}, left_out


def naive_error(data: dict[str, Any]) -> float:
    """Return the mean absolute error of a forecast that repeats the last value."""
    return float(np.abs(data["history"][:, -1:] - data["target"]).mean())


def forecast(artifact: Path, history: Any) -> Any:
    """Compute what the version answers, from its weights alone: [steps, metrics] to [ahead, metrics]."""
    weights = load_file(artifact)
    series = history.T.astype(np.float64)
    mean = series.mean(axis=1, keepdims=True)
    spread = np.sqrt(((series - mean) ** 2).mean(axis=1, keepdims=True)) + SPREAD_MIN
    scaled = (series - mean) / spread

    def layer(name: str, x: Any) -> Any:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    ahead = layer("straight", scaled) + layer("bent.2", np.maximum(layer("bent.0", scaled), 0.0))
    return (ahead * spread + mean).T
