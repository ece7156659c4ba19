"""What computes a forward pass: torch as it is, torch with channels last, ONNX Runtime, or code compiled by torch."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from hotswap_stream.adapters.torch.executors.graph_maker import WRAPPED
from hotswap_stream.adapters.torch.modules.loading import named_outputs
from hotswap_stream.adapters.torch.modules.threads import take_limit
from hotswap_stream.application.artifacts.manifest import ArtifactManifest

Array = npt.NDArray[Any]
ExecutorName = Literal["eager", "channels-last", "onnxruntime", "compile", "openvino"]


class EagerExecutor:
    """torch, operation by operation, on any device. What the others are checked against."""

    name: ExecutorName = "eager"

    def __init__(self, module: nn.Module, manifest: ArtifactManifest, device: str = "cpu") -> None:
        self.module = module.to(device)
        self._manifest, self._device_name = manifest, device
        self._device = None if device == "cpu" else torch.device(device)

    def as_eager(self) -> "EagerExecutor":
        """Return a copy of the weights, executed plainly: a module's code is not called by two threads at once."""
        return EagerExecutor(deepcopy(self.module), self._manifest, self._device_name)

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """See Executor."""
        take_limit()
        with torch.inference_mode():
            outputs = named_outputs(self.module(*self._tensors(inputs)), self._manifest)
            return [tensor.cpu().numpy() for tensor in outputs]

    def _tensors(self, inputs: Sequence[Array]) -> list[torch.Tensor]:
        tensors = [as_tensor(array) for array in inputs]
        return tensors if self._device is None else [tensor.to(self._device) for tensor in tensors]


class ChannelsLastExecutor(EagerExecutor):
    """torch with the channels of images side by side in memory, which its convolutions are faster with."""

    name: ExecutorName = "channels-last"

    def __init__(self, module: nn.Module, manifest: ArtifactManifest, device: str = "cpu") -> None:
        super().__init__(deepcopy(module), manifest, device)
        self.module.to(memory_format=torch.channels_last)

    def as_eager(self) -> EagerExecutor:
        """Return a copy of the weights, executed plainly."""
        module = deepcopy(self.module).to(memory_format=torch.contiguous_format)
        return EagerExecutor(module, self._manifest, self._device_name)

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """See Executor."""
        return [np.ascontiguousarray(array) for array in super().run(inputs)]

    def _tensors(self, inputs: Sequence[Array]) -> list[torch.Tensor]:
        return [
            tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor
            for tensor in super()._tensors(inputs)
        ]


class OnnxExecutor:
    """ONNX Runtime on the CPU. The graph holds no weights: they stay where they are and are shared with it."""

    name: ExecutorName = "onnxruntime"

    def __init__(self, graph: Path, state: Mapping[str, torch.Tensor], threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Threads that wait by spinning would take the core from the Kafka client.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        first_line, _, content = graph.read_bytes().partition(b"\n")
        names = msgspec.json.decode(first_line, type=list[str])
        # Kept as long as the session: it uses this memory and does not own it.
        self._arrays = [state[name].numpy() for name in names]
        self._values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in self._arrays]
        if names:
            options.add_external_initializers([f"{WRAPPED}{name}" for name in names], self._values)
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self._inputs = [found.name for found in self._session.get_inputs()]

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """See Executor."""
        outputs: list[Array] = self._session.run(None, dict(zip(self._inputs, inputs, strict=True)))
        return outputs


class CompiledExecutor:
    """Code that torch compiled ahead of time, loaded as a library: torch's compiler does not run in this process."""

    name: ExecutorName = "compile"

    def __init__(self, package: Path, state: Mapping[str, torch.Tensor]) -> None:
        loader = torch._C._aoti.AOTIModelPackageLoader(str(package), "model", True, 1, -1)
        self._state = {f"{WRAPPED}{name}": tensor for name, tensor in state.items()}
        wanted = loader.get_constant_fqns()
        loader.load_constants(
            {name: self._state[name] for name in wanted if name in self._state},
            False,  # not the inactive half of a double buffer
            False,  # constants that are not weights stay as compiled
            True,  # the tensors stay ours: not copied, kept in `_state`
        )
        self._loader = loader

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """See Executor."""
        take_limit()
        with torch.inference_mode():
            outputs: list[torch.Tensor] = self._loader.boxed_run([as_tensor(array) for array in inputs])
            return [tensor.numpy() for tensor in outputs]


def as_tensor(array: Array) -> torch.Tensor:
    """Return the array's own memory, or a copy if it is read-only or laid out in a way that torch does not take."""
    if array.flags.writeable and array.flags.c_contiguous and array.dtype.isnative:
        return torch.from_numpy(array)
    return torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("="), order="C"))
