"""What another executor and lower precision gain: the 1.2 M-parameter CNN, in one thread, without Kafka, in turns.

    python -m benchmarks.precisions

ONNX Runtime in f32, OpenVINO in f32 and OpenVINO in bf16, as versions with these options are loaded. The rates are rows
per second of processor time of the computing thread. bf16 gains only on processors that have instructions for it; on
others each number is converted to and fro.
"""

import asyncio
import json
import tempfile
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.executors import BATCH_ROWS, ROUNDS, Stage, inputs_of, seconds_of
from hotswap_events.registry.version_options import VersionOptions
from hotswap_stream.adapters.models.openvino import has_bf16
from hotswap_stream.adapters.torch.executors.loaded_model import TorchLoadedModel

ARCHITECTURE = "cnn-28"
VERSIONS = {
    "onnxruntime f32": VersionOptions(executor="onnxruntime"),
    "openvino f32": VersionOptions(executor="openvino"),
    "openvino bf16": VersionOptions(executor="openvino", precision="bf16"),
}
STANDARD = "onnxruntime f32"
BF16_AIM = 1.5


def off_by(one: TorchLoadedModel, other: TorchLoadedModel) -> float:
    """Return the largest difference of their outputs, as a part of the largest output."""
    inputs, names = inputs_of(one, BATCH_ROWS), [spec.name for spec in one.manifest.outputs]
    pairs = [(np.asarray(one.infer(inputs)[name]), np.asarray(other.infer(inputs)[name])) for name in names]
    return max(float(np.abs(mine - theirs).max() / np.abs(mine).max()) for mine, theirs in pairs)


async def _measure() -> list[dict[str, object]]:
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder))
        models = {name: await stage.load_with(ARCHITECTURE, options) for name, options in VERSIONS.items()}
        inputs = inputs_of(models[STANDARD], BATCH_ROWS)
        rounds = [{name: seconds_of(model, inputs) for name, model in models.items()} for _ in range(ROUNDS)]
        differences = {name: off_by(models[STANDARD], model) for name, model in models.items()}
    return [_result(name, rounds, differences[name]) for name in VERSIONS if name != STANDARD]


def _result(name: str, rounds: list[dict[str, float]], difference: float) -> dict[str, object]:
    ratio = median(each[STANDARD] / each[name] for each in rounds)
    lower, fast = name.endswith("bf16"), has_bf16()
    aim = f">= {BF16_AIM} where the processor has bf16" if lower else "none: the faster one serves"
    return {
        "name": f"{name} of {ARCHITECTURE}",
        "ours": round(BATCH_ROWS / median(each[name] for each in rounds)),
        "compared_with": f"{STANDARD}, batches of {BATCH_ROWS}, one thread",
        "comparison": round(BATCH_ROWS / median(each[STANDARD] for each in rounds)),
        "unit": "rows/s",
        "ratio": round(ratio, 2),
        "aim": aim,
        "holds": not lower or not fast or ratio >= BF16_AIM,
        "outputs_off_by": f"{difference:.1e}",
        "processor_has_bf16": fast,
    }


def run() -> list[dict[str, object]]:
    """Return one result per version but the standard."""
    return asyncio.run(_measure())


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
