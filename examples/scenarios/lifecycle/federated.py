"""Seeded clients whose data stay with them, and the model that they train together, round by round.

The module is named in HOTSWAP_PLUGIN_MODULES: so `federated` is a trainer that every runner of that machine has. Where
the clients are is a matter of the machine, too: FEDERATED_CLIENTS is their folder.
"""

import os
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hotswap_stream.application.observations.row_sketches import RowProfile
from hotswap_stream.application.training.runs import DataProfile
from hotswap_stream.plugins import Trained, TrainingDataError, TrainingJob, trainer

FEATURES, CLASSES, HIDDEN = 6, 7, 48
KINDS = 21
"""Kinds of scenes; the last seven are seen at night alone."""
AT_DAY = 14
CLIENTS = 3
CLIENTS_FOLDER = "FEDERATED_CLIENTS"
LOCAL_STEPS, BATCH, STEP = 12, 64, 0.2

Weights = dict[str, Any]


class World:
    """What the cameras see: scenes of a class, by day and by night."""

    def __init__(self, seed: int = 3) -> None:
        self._random = np.random.default_rng(seed)
        self._scenes = self._random.normal(0.0, 1.6, (KINDS, FEATURES))

    def seen(self, rows: int, *, night: float, brightness: float = 0.0) -> tuple[Any, Any]:
        """Return rows and their classes; `night` of them at night, all of them brighter by so much."""
        at_night = self._random.random(rows) < night
        kind = np.where(at_night, self._random.integers(AT_DAY, KINDS, rows), self._random.integers(0, AT_DAY, rows))
        x = self._scenes[kind] + self._random.normal(0.0, 0.6, (rows, FEATURES)) + brightness
        return x.astype(np.float32), kind % CLASSES

    def give(self, folder: Path, *, night: float, brightness: float = 0.0) -> None:
        """Let each client see some rows, which it keeps beside those of before."""
        for client in range(CLIENTS):
            x, labels = self.seen(500, night=night, brightness=brightness)
            number = len(list(folder.glob(f"client-{client}-*")))
            part = folder / f"client-{client}-{number}.part"
            with part.open("wb") as file:
                np.savez(file, x=x, labels=labels)
            part.rename(part.with_suffix(".npz"))


class Rounds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long the clients train together."""

    rounds: Annotated[int, msgspec.Meta(ge=1, le=500)] = 12
    seed: Annotated[int, msgspec.Meta(ge=0)] = 0


@trainer("federated", Rounds)
def train(job: TrainingJob, parameters: Rounds) -> Trained:
    """Let the clients of this machine train a model together; only weights leave them."""
    folder = os.environ.get(CLIENTS_FOLDER)
    clients = [] if folder is None else clients_in(Path(folder))
    if not clients:
        raise TrainingDataError(f"{CLIENTS_FOLDER} names no folder with data of clients")
    figures: dict[str, float] = {}

    def told(number: int, weights: Weights) -> None:
        figures["accuracy"] = float(np.mean([accuracy(weights, *client) for client in clients]))
        job.progress(number, parameters.rounds, epoch=number, epochs=parameters.rounds, **figures)

    weights = federated(clients, parameters.rounds, parameters.seed, told)
    file = job.folder / "model.onnx"
    file.write_bytes(graph(weights))
    profile = RowProfile()
    for x, _labels in clients:
        profile.add(x)
    source = f"{len(clients)} clients, {sum(len(x) for x, _labels in clients)} rows that stayed with them"
    return Trained(
        model=file,
        metrics={**figures, "rounds": float(parameters.rounds), "clients": float(len(clients))},
        data_snapshot=source,
        profile=DataProfile(source=source, rows=profile.rows, sketches=profile.sketches()),
    )


def clients_in(folder: Path) -> list[tuple[Any, Any]]:
    """Return rows and classes of each client."""
    found = []
    for client in range(CLIENTS):
        parts = [np.load(file, allow_pickle=False) for file in sorted(folder.glob(f"client-{client}-*.npz"))]
        if parts:
            found.append(tuple(np.concatenate([part[name] for part in parts]) for name in ("x", "labels")))
    return found  # type: ignore[return-value]


def federated(clients: list[tuple[Any, Any]], rounds: int, seed: int, told: Any) -> Weights:
    """Average what each client makes of the common weights, round by round (McMahan and others, 2017)."""
    random = np.random.default_rng(seed)
    weights = {
        "a": random.normal(0.0, 0.5, (FEATURES, HIDDEN)),
        "b": np.zeros(HIDDEN),
        "c": random.normal(0.0, 0.2, (HIDDEN, CLASSES)),
        "d": np.zeros(CLASSES),
    }
    for number in range(1, rounds + 1):
        made = [_at_client(weights, x, labels, random) for x, labels in clients]
        weights = {name: np.mean([each[name] for each in made], axis=0) for name in weights}
        told(number, weights)
    return weights


def accuracy(weights: Weights, x: Any, labels: Any) -> float:
    """Return the share of rows whose class is found."""
    return float((_forward(weights, x)[1].argmax(axis=1) == labels).mean())


def graph(weights: Weights) -> bytes:
    """Return the model as an ONNX graph: rows `x` in, `scores` out."""
    nodes = [
        helper.make_node("Gemm", ["x", "a", "b"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Gemm", ["r", "c", "d"], ["scores"]),
    ]
    made = helper.make_graph(
        nodes,
        "federated",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", FEATURES])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows", CLASSES])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _forward(weights: Weights, x: Any) -> tuple[Any, Any]:
    hidden = np.maximum(x @ weights["a"] + weights["b"], 0.0)
    return hidden, hidden @ weights["c"] + weights["d"]


def _at_client(weights: Weights, x: Any, labels: Any, random: np.random.Generator) -> Weights:
    mine = dict(weights)
    for _step in range(LOCAL_STEPS):
        rows = random.integers(0, len(x), BATCH)
        hidden, scores = _forward(mine, x[rows])
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        shares[np.arange(BATCH), labels[rows]] -= 1.0
        shares /= BATCH
        back = (shares @ mine["c"].T) * (hidden > 0)
        slopes = {"a": x[rows].T @ back, "b": back.sum(axis=0), "c": hidden.T @ shares, "d": shares.sum(axis=0)}
        mine = {name: mine[name] - STEP * slopes[name] for name in mine}
    return mine
