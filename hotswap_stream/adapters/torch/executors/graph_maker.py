"""The process that exports or compiles a model: `python -m hotswap_stream.adapters.torch.executors.graph_maker`.

Reads one `GraphOrder` line from standard input and writes the file it names. A process of its own, because exporting
holds Python's lock for hundreds of milliseconds and compiling takes half a minute: neither may touch answers. Its
weights are random; a graph is used with each version's own. Ends with its input, so it never outlives its owner.
"""

import importlib
import os
import sys
import threading
from pathlib import Path
from typing import Literal

import msgspec
import torch
from msgspec import Struct
from torch import nn

from hotswap_stream.adapters.torch.modules.architectures import build_module
from hotswap_stream.adapters.torch.modules.datatypes import TORCH_OF
from hotswap_stream.adapters.torch.modules.loading import named_outputs
from hotswap_stream.application.artifacts.manifest import ArtifactManifest

GraphKind = Literal["onnxruntime", "compile"]

WRAPPED = "module."
"""How the graphs' names of weights begin, because a wrapper puts inputs and outputs in the manifest's order."""

NICENESS = 10
EXAMPLE_ROWS = 16
"""torch treats 0 and 1 rows as special; the others are alike."""
EXIT_OWNER_GONE = 3


class GraphOrder(Struct, frozen=True):
    """What graph to make, and where to put it. `module` is the Python module that registers the architecture."""

    kind: GraphKind
    manifest: ArtifactManifest
    module: str
    target: str


class _InOrder(nn.Module):
    """Returns outputs as a tuple in the manifest's order, whatever the module returns."""

    def __init__(self, module: nn.Module, manifest: ArtifactManifest) -> None:
        super().__init__()
        self.module = module
        self._manifest = manifest

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(named_outputs(self.module(*inputs), self._manifest))


def main() -> int:
    """Return 0 when the file is there; with any other exit code the reason is on standard error."""
    with open(0, "rb", buffering=0, closefd=False) as lines:
        order = msgspec.json.decode(lines.readline(), type=GraphOrder)
    threading.Thread(target=_end_with_owner, daemon=True).start()
    torch.set_num_threads(1)
    carry_out(order)
    return 0


def carry_out(order: GraphOrder) -> None:
    """Make the file in this process, which steps back behind others from here on. Raises whatever torch does."""
    os.nice(NICENESS)
    importlib.import_module(order.module)
    target = Path(order.target)
    unfinished = target.with_name(f".{target.stem}.{os.getpid()}{target.suffix}")
    try:
        make_graph(order, unfinished)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def make_graph(order: GraphOrder, target: Path) -> None:
    """Write a compiled package, or one line of JSON that lists the weights, followed by an ONNX graph without them."""
    manifest = order.manifest
    module = build_module(manifest.architecture, manifest.arguments).eval().requires_grad_(False)
    wrapped = _InOrder(module, manifest).eval()
    examples = tuple(_example(manifest, spec.name) for spec in manifest.inputs)
    batch = torch.export.Dim("batch", min=1)
    # One entry for the one parameter `*inputs`, which holds a tuple.
    shapes = (tuple({0: batch} for _ in examples),)
    if order.kind == "compile":
        program = torch.export.export(wrapped, examples, dynamic_shapes=shapes)
        # By default, weights of up to 8 numbers are written into the code, and other versions could not replace them.
        configs = {"always_keep_tensor_constants": True}
        torch._inductor.aoti_compile_and_package(program, package_path=str(target), inductor_configs=configs)
    else:
        _export_onnx(wrapped, examples, shapes, target)


def _export_onnx(
    module: nn.Module,
    examples: tuple[torch.Tensor, ...],
    shapes: tuple[tuple[dict[int, torch.export.Dim], ...]],
    target: Path,
) -> None:
    import onnx

    # Not optimized: what an optimizer derives from these random weights would be wrong for all others.
    program = torch.onnx.export(
        module, examples, dynamo=True, dynamic_shapes=shapes, optimize=False, verbose=False, external_data=False
    )
    assert program is not None  # noqa: S101 - only without `dynamo` there is none
    proto = program.model_proto
    state, names = module.state_dict(), []
    for tensor in proto.graph.initializer:
        if tensor.name in state:
            names.append(tensor.name.removeprefix(WRAPPED))
            length = len(tensor.raw_data)
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            for key, value in (("location", "weights"), ("offset", "0"), ("length", str(length))):
                entry = tensor.external_data.add()
                entry.key, entry.value = key, value
    target.write_bytes(msgspec.json.encode(names) + b"\n" + proto.SerializeToString())


def _example(manifest: ArtifactManifest, name: str) -> torch.Tensor:
    spec = next(spec for spec in manifest.inputs if spec.name == name)
    return torch.zeros((EXAMPLE_ROWS, *manifest.warm_up[name][1:]), dtype=TORCH_OF[spec.datatype])


def _end_with_owner() -> None:
    # Not through `sys.stdin`: its lock, held by this thread, would abort an orderly end.
    while os.read(0, 1):
        pass
    os._exit(EXIT_OWNER_GONE)


if __name__ == "__main__":
    sys.exit(main())
