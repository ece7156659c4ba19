"""Outputs of a group, cut into the tensors of its answers."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from hotswap_events.inference.messages import Datatype, InferTensor
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.inference.byte_strings import pack_strings
from hotswap_stream.workers.inference.requests.requests import Request
from hotswap_stream.workers.inference.requests.tensors import DATATYPE_OF, NUMPY_DTYPES, Array, write_outputs


class Output(Struct, frozen=True, gc=False):
    """One output of all requests of a group."""

    name: str
    datatype: Datatype
    inner: list[int]
    """The shape of a row."""
    row_bytes: int
    content: bytes
    """All rows, little-endian; empty for texts, which have no common length."""
    array: Array


class OutputSlices:
    """Cut a group's outputs into OIP tensors; what can be done once for all requests is done once."""

    def __init__(self, manifest: ArtifactManifest, outputs: Mapping[str, Array]) -> None:
        self._outputs: list[Output] = []
        for name in dict.fromkeys(spec.name for spec in manifest.outputs):
            array = outputs[name]
            datatype = DATATYPE_OF[array.dtype]
            inner = list(array.shape[1:])
            if datatype == "BYTES":
                self._outputs.append(Output(name, datatype, inner, 0, b"", array))
                continue
            little = array.astype(NUMPY_DTYPES[datatype], order="C", copy=False)
            row_bytes = little.itemsize
            for size in inner:
                row_bytes *= size
            self._outputs.append(Output(name, datatype, inner, row_bytes, little.tobytes(), array))
        self._lists: dict[str, list[Any]] = {}
        self._has_rows = manifest.has_rows

    @property
    def of_fixed_size(self) -> Sequence[Output]:
        """The outputs, if each row of each has as many bytes; else none."""
        fixed = self._has_rows and all(output.datatype != "BYTES" for output in self._outputs)
        return self._outputs if fixed else ()

    def of(self, start: int, rows: int, request: Request) -> list[InferTensor]:
        """Return the tensors for one request: `rows` rows from `start` on, of the outputs it asks for."""
        wanted = request.body.outputs
        names = {output.name for output in wanted} if wanted else None
        if not self._has_rows:
            arrays = {each.name: each.array for each in self._outputs if names is None or each.name in names}
            return write_outputs(arrays, raw=request.raw)
        tensors = []
        for output in self._outputs:
            name, row_bytes = output.name, output.row_bytes
            if names is not None and name not in names:
                continue
            if request.raw and output.datatype == "BYTES":
                data: Any = pack_strings(output.array[start : start + rows].ravel().tolist())
            elif request.raw:
                data = output.content[start * row_bytes : (start + rows) * row_bytes]
            else:
                if name not in self._lists:
                    self._lists[name] = output.array.reshape(output.array.shape[0], -1).tolist()
                found = self._lists[name][start : start + rows]
                data = found[0] if rows == 1 else [value for row in found for value in row]
            tensors.append(InferTensor(name=name, shape=[rows, *output.inner], datatype=output.datatype, data=data))
        return tensors
