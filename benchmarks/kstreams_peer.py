"""Kafka Streams with ONNX Runtime on the JVM, from `peers/kstreams_onnx`: built with Maven where there is one."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import nn

SOURCE = Path(__file__).parent / "peers" / "kstreams_onnx"
BUILD = Path("build/kstreams_onnx")
BUILD_SECONDS_MAX = 300
STOP_SECONDS_MAX = 30
HEAP_MIB_MAX = 1024


class PeerMissingError(Exception):
    """The program cannot be built here; the message says what is missing."""


def build_peer(folder: Path = BUILD) -> str:
    """Return the class path of the compiled program. Raise PeerMissingError where it cannot be built."""
    maven = shutil.which("mvn")
    if maven is None or shutil.which("java") is None or shutil.which("javac") is None:
        raise PeerMissingError("Kafka Streams is left out: a JDK (17 or newer) and Maven are needed")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(SOURCE, folder)
    command = (maven, "-q", "-B", "compile", "dependency:copy-dependencies", "-DoutputDirectory=target/lib")
    try:
        built = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=BUILD_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        raise PeerMissingError(f"Kafka Streams is left out: Maven took longer than {BUILD_SECONDS_MAX} s") from None
    if built.returncode:
        raise PeerMissingError(f"Kafka Streams is left out: Maven failed: {(built.stdout + built.stderr)[:500]}")
    target = (folder / "target").absolute()
    return f"{target / 'classes'}:{target / 'lib'}/*"


def write_onnx(module: nn.Sequential, path: Path) -> None:
    """Write a chain of linear layers and ReLUs as ONNX, input `x`: one Gemm per layer, as PyTorch's exporter does."""
    nodes, initializers, flowing = [], [], "x"
    layers = list(module)
    for number, layer in enumerate(layers):
        into = f"h{number}"
        if isinstance(layer, nn.Linear):
            for name, tensor in (("w", layer.weight), ("b", layer.bias)):
                initializers.append(numpy_helper.from_array(tensor.detach().numpy(), f"{name}{number}"))
            nodes.append(helper.make_node("Gemm", [flowing, f"w{number}", f"b{number}"], [into], transB=1))
        else:
            assert isinstance(layer, nn.ReLU), layer
            nodes.append(helper.make_node("Relu", [flowing], [into]))
        flowing = into
    first, last = layers[0], layers[-1]
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", first.in_features])]
    outputs = [helper.make_tensor_value_info(flowing, TensorProto.FLOAT, ["n", last.out_features])]
    graph = helper.make_graph(nodes, "chain", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    onnx.save(model, path)


@contextmanager
def scoring(
    class_path: str, servers: str, request_topic: str, response_topic: str, model: Path
) -> "Iterator[subprocess.Popen[bytes]]":
    """Run the program, from the topic's beginning, in one stream thread."""
    arguments = (servers, request_topic, response_topic, str(model), "1")
    started = subprocess.Popen(("java", f"-Xmx{HEAP_MIB_MAX}m", "-cp", class_path, "ScoreStream", *arguments))
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()
