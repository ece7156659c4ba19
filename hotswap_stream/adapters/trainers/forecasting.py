"""`forecaster`: the next steps of series from their last ones."""

import numpy as np
import torch
from torch.nn import functional

from hotswap_stream.adapters.torch.modules.architectures import build_module, manifest_of
from hotswap_stream.adapters.torch.modules.loading import load_module
from hotswap_stream.adapters.torch.modules.saving import save_module
from hotswap_stream.adapters.torch.modules.threads import limit_threads
from hotswap_stream.adapters.torch.training.profiling import profile_of
from hotswap_stream.adapters.torch.training.provenance import environment
from hotswap_stream.adapters.trainers.data import Array, numbers, read_arrays, rows_of
from hotswap_stream.adapters.trainers.fitting import Fitting, held_out_rows
from hotswap_stream.application.trainers.built_in import Forecaster
from hotswap_stream.application.trainers.job import Trained, TrainingDataError, TrainingJob

WINDOWS_MAX = 20_000
"""Windows that are trained on, spread over the series."""
WINDOW_DIMENSIONS = 3
SEEDED_STEPS, DAY_STEPS = 288 * 14, 288


def train(job: TrainingJob, parameters: Forecaster) -> Trained:
    """Train, and measure on windows held out: those at the end of each series."""
    limit_threads(job.threads)
    torch.manual_seed(parameters.seed)
    torch.use_deterministic_algorithms(True)
    history, target, source = _windows(job, parameters)
    arguments = {"history": history.shape[1], "ahead": target.shape[1], "features": history.shape[2]}
    module, manifest = build_module("forecaster", arguments), manifest_of("forecaster", arguments)
    kept, tried = held_out_rows(len(history), parameters.held_out, parameters.seed)
    inputs, truths = torch.from_numpy(history), torch.from_numpy(target)
    fitting = Fitting(
        module,
        epochs=parameters.epochs,
        batch_size=parameters.batch_size,
        learning_rate=parameters.learning_rate,
        seed=parameters.seed,
        loss=functional.l1_loss,
    )

    def measured() -> dict[str, float]:
        module.eval()
        with torch.inference_mode():
            error = module(inputs[tried]) - truths[tried]
        module.train()
        return {"held_out_mae": float(error.abs().mean()), "held_out_rmse": float((error**2).mean().sqrt())}

    last = fitting.fit(job, inputs[kept], truths[kept], measured)
    naive = np.abs(history[tried.numpy(), -1:] - target[tried.numpy()]).mean()
    content = save_module(module, manifest)
    loaded = load_module(manifest, content)
    return Trained(
        model=content,
        metrics={**last, "held_out_mae_of_last_value": float(naive), "rows": float(len(history))},
        data_snapshot=job.digests[0] if job.digests else source,
        environment=environment(),
        profile=profile_of(loaded, manifest, [history], source=source[:500], where="the data"),
    )


def _windows(job: TrainingJob, parameters: Forecaster) -> tuple[Array, Array, str]:
    if not job.datasets:
        series, source = seeded_series(parameters.seed)[None], f"a seeded series, seed {parameters.seed}"
    else:
        arrays, source = read_arrays(job.datasets), ", ".join(job.digests)
        if "history" in arrays and "target" in arrays:
            rows_of(arrays, "history", "target")
            history, target = (_three(numbers(arrays, name), name) for name in ("history", "target"))
            if history.shape[2] != target.shape[2]:
                raise TrainingDataError(f"history has {history.shape[2]} features, target {target.shape[2]}")
            return history, target, source
        if "series" not in arrays:
            raise TrainingDataError(f"the data hold {sorted(arrays)[:20]}; series, or history and target, are needed")
        series = numbers(arrays, "series")
        series = series[None] if series.ndim == 1 else series
    if series.ndim != 2:
        raise TrainingDataError(f"series has shape {list(series.shape)}; [steps] or [series, steps] is needed")
    length = parameters.history + parameters.ahead
    if series.shape[1] < length:
        raise TrainingDataError(f"a series has {series.shape[1]} steps; {length} or more are needed for one window")
    windows = np.lib.stride_tricks.sliding_window_view(series, length, axis=1).reshape(-1, length)
    windows = np.ascontiguousarray(windows[:: -(-len(windows) // WINDOWS_MAX)])[..., None]
    return windows[:, : parameters.history], windows[:, parameters.history :], source


def _three(array: Array, name: str) -> Array:
    found = array[..., None] if array.ndim == WINDOW_DIMENSIONS - 1 else array
    if found.ndim != WINDOW_DIMENSIONS:
        raise TrainingDataError(f"{name} has shape {list(array.shape)}; [rows, steps, features] is needed")
    return found


def seeded_series(seed: int) -> Array:
    """Return two weeks of five-minute steps with a daily shape, a slow drift and noise."""
    random, steps = np.random.default_rng(seed), np.arange(SEEDED_STEPS)
    day = np.sin(2 * np.pi * steps / DAY_STEPS) + 0.4 * np.sin(4 * np.pi * steps / DAY_STEPS + 1.0)
    noise = random.normal(0.0, 0.08, SEEDED_STEPS)
    found: Array = (10.0 + 3.0 * day + 0.0005 * steps + noise).astype(np.float32)
    return found
