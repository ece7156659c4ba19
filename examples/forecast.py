"""Train a small forecaster on series made here, and ask it one step at a time.

    hotswap-stream up                                # in another terminal
    python examples/forecast.py forecaster.safetensors
    hotswap-stream register loads forecaster.safetensors && hotswap-stream switch loads v1
    python examples/forecast.py --ask localhost:9092 loads

Workers keep the last 288 steps of each series. A request brings the newest step and names the series by its routing
key; once there are 288, the answer is the next 96.
"""

import argparse
import asyncio
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from hotswap_stream.adapters.torch.modules.architectures import build_module, manifest_of
from hotswap_stream.adapters.torch.modules.saving import save_module
from hotswap_stream.client import TopicClient

ARCHITECTURE = "forecaster-288-96"
HISTORY, AHEAD = 288, 96
PERIOD = 288
"""A day of five-minute steps."""

Array = npt.NDArray[np.float32]


def make_series(count: int, steps: int, seed: int) -> Array:
    """Return loads of machines, [count, steps]: a level, a daily wave of its own shape and phase, drift, noise."""
    chance = np.random.default_rng(seed)
    time = np.arange(steps) / PERIOD
    phase, strength = chance.random((count, 1)), chance.uniform(0.2, 1.0, (3, count, 1))
    wave = sum(
        each * np.sin(2 * np.pi * harmonic * (time + phase)) / harmonic
        for harmonic, each in enumerate(strength, start=1)
    )
    level, drift = chance.uniform(20, 60, (count, 1)), chance.normal(0, 1, (count, 1))
    noise = chance.normal(0, 0.1, (count, steps))
    return np.asarray(level + 10 * (wave + noise) + drift * time, np.float32)


def train(rounds: int = 600, batch: int = 256, seed: int = 0) -> nn.Module:
    """Return a forecaster, trained for a few seconds on one core."""
    torch.manual_seed(seed)
    module = build_module(ARCHITECTURE, {})
    series = torch.from_numpy(make_series(200, 4 * PERIOD, seed))
    optimizer = torch.optim.AdamW(module.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=5e-3, total_steps=rounds)
    windows = series.unfold(1, HISTORY + AHEAD, 1)
    for _ in range(rounds):
        rows = torch.randint(windows.shape[0], (batch,))
        starts = torch.randint(windows.shape[1], (batch,))
        chosen = windows[rows, starts].unsqueeze(2)
        history, wanted = chosen[:, :HISTORY], chosen[:, HISTORY:]
        loss = nn.functional.smooth_l1_loss(module(history), wanted)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return module.eval()


def artifact(module: nn.Module) -> bytes:
    """Return the artifact file to register."""
    return save_module(module, manifest_of(ARCHITECTURE, {}))


async def ask(kafka: str, model_name: str, series: Array, *, key: str, prefix: str = "hotswap") -> Array:
    """Send the series as a sender of measurements would: first what there is, then one step per request.

    Return the forecast after its last step: [96]. Raise RuntimeError if it has fewer than 288 steps.
    """
    async with TopicClient(kafka, prefix=prefix) as client:
        answer = None
        for start, end in [(0, HISTORY - 1), *((step, step + 1) for step in range(HISTORY - 1, len(series)))]:
            steps = {"history": series[start:end].reshape(-1, 1)}
            answer = await client.infer(model_name, steps, routing_key=key)
        if answer is None or not answer.outputs:
            raise RuntimeError(f"{len(series)} steps are too few for a forecast; {HISTORY} are needed")
        return np.asarray(answer.outputs["forecast"], np.float32).reshape(AHEAD)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", nargs="?", type=Path, help="where to write the artifact")
    parser.add_argument("--ask", nargs=2, metavar=("KAFKA", "MODEL"), help="ask the model instead")
    arguments = parser.parse_args()
    if arguments.ask:
        kafka, model_name = arguments.ask
        series = make_series(1, 2 * PERIOD + AHEAD, seed=99)[0]
        forecast = asyncio.run(ask(kafka, model_name, series[:-AHEAD], key="machine-99"))
        print(f"off by {np.abs(forecast - series[-AHEAD:]).mean():.2f} on average over {AHEAD} steps")
    elif arguments.file is not None:
        arguments.file.write_bytes(artifact(train()))
        print(f"wrote {arguments.file}")
    else:
        parser.error("a file to write, or --ask")


if __name__ == "__main__":
    main()
