"""Answers of one worker by a published XGBoost model, next to MLServer's XGBoost runtime, both through Kafka.

    python -m benchmarks.mlserver_stream MLSERVER [REQUESTS]

`MLSERVER` is the program of an environment of its own, made with `pip install mlserver mlserver-xgboost`. Both answer
one row of JSON a request on the same broker, with a classifier of 100 trees over 30 features. MLServer computes in its
own process, without workers beside it, because that is faster for small models; it reads what comes after its start, so
its requests are written while it runs, ours before. They take turns, each with the machine to itself.
"""

import asyncio
import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median

import numpy as np
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from sklearn.datasets import load_breast_cancer
from xgboost import XGBClassifier

from benchmarks.boosted_stream import FEATURES, PARTITIONS, TREES
from benchmarks.serving_processes import STOP_SECONDS_MAX, broker_settings, put_artifact_into_production
from benchmarks.streams import Stream
from benchmarks.worker_rounds import WorkerRounds
from hotswap_stream import bootstrap
from hotswap_stream.client.publishing.preparing import prepared
from hotswap_stream.client.publishing.wishes import Wishes

ROUNDS = 3
AIM = 3.0
READY_SECONDS_MAX = 120.0
JOINED_SECONDS = 2.0
"""After it says that it is ready, it still looks for the end of its topic: what comes before that it never sees."""
INPUT, OUTPUT, NAME = "mlserver-input", "mlserver-output", "boosted"


def run(mlserver: str, count: int = 5_000) -> list[dict[str, object]]:
    """Return the median of the rounds, answers/s. `mlserver`: the program."""
    features, target = load_breast_cancer(return_X_y=True)
    model = XGBClassifier(n_estimators=TREES, n_jobs=1).fit(features.astype(np.float32), target)
    ours, theirs = asyncio.run(_measure(mlserver, model, features.astype(np.float32), count))
    ratio = median(mine / other for mine, other in zip(ours, theirs, strict=True))
    return [
        {
            "name": "mlserver_stream",
            "ours": round(median(ours)),
            "compared_with": "MLServer's XGBoost runtime, through Kafka",
            "comparison": round(median(theirs)),
            "unit": "answers/s",
            "ratio": round(ratio, 2),
            "aim": f">= {AIM}",
            "holds": ratio >= AIM,
            "requests": count,
        }
    ]


async def _measure(
    mlserver: str, model: XGBClassifier, features: "np.ndarray[tuple[int, int], np.dtype[np.float32]]", count: int
) -> tuple[list[float], list[float]]:
    ours: list[float] = []
    theirs: list[float] = []
    async with broker_settings(PARTITIONS) as settings:
        servers = str(settings.kafka_bootstrap_servers)
        with prepared(model, Wishes(example=features)) as made:
            content, _tried = await bootstrap.imported_model(settings, made.file, made.beside, made.options)
        rounds = WorkerRounds(await put_artifact_into_production(settings, NAME, content), json=True)
        await rounds.settle()
        await _make_topics(servers)
        bodies = [_body(number) for number in range(count)]
        for _ in range(ROUNDS):
            await rounds.fill(count)
            ours.append((await rounds.answered(count)).per_s)
            theirs.append(await asyncio.to_thread(_their_rate, mlserver, model, servers, bodies))
    return ours, theirs


async def _make_topics(servers: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in (INPUT, OUTPUT)])
    finally:
        await admin.close()


def _body(number: int) -> bytes:
    row = np.random.default_rng(number % 256).random(FEATURES, np.float32).tolist()
    tensor = {"name": "predict", "shape": [1, FEATURES], "datatype": "FP32", "data": row}
    return json.dumps({"id": str(number), "inputs": [tensor], "outputs": [{"name": "predict_proba"}]}).encode()


def _their_rate(mlserver: str, model: XGBClassifier, servers: str, bodies: list[bytes]) -> float:
    requests, answers = Stream(servers, INPUT, PARTITIONS), Stream(servers, OUTPUT, PARTITIONS)
    with _running(mlserver, model, servers) as process:
        starts = answers.ends()
        requests.fill(bodies, [("mlserver-model", NAME.encode())])
        return answers.count(starts, len(bodies), lambda: process.poll() is None).per_s


@contextmanager
def _running(mlserver: str, model: XGBClassifier, servers: str) -> "Iterator[subprocess.Popen[bytes]]":
    with tempfile.TemporaryDirectory() as folder:
        ports = _free_ports()
        settings = {
            "host": "127.0.0.1",
            "http_port": ports[0],
            "grpc_port": ports[1],
            "metrics_endpoint": None,
            "parallel_workers": 0,
            "debug": False,
            "kafka_enabled": True,
            "kafka_servers": servers,
            "kafka_topic_input": INPUT,
            "kafka_topic_output": OUTPUT,
        }
        model.save_model(Path(folder) / "model.json")
        model_settings = {
            "name": NAME,
            "implementation": "mlserver_xgboost.XGBoostModel",
            "parameters": {"uri": "./model.json"},
        }
        (Path(folder) / "settings.json").write_text(json.dumps(settings))
        (Path(folder) / "model-settings.json").write_text(json.dumps(model_settings))
        process = subprocess.Popen((mlserver, "start", folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _await_ready(process, f"http://127.0.0.1:{ports[0]}/v2/models/{NAME}/ready")
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        for probe in (one, other):
            probe.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def _await_ready(process: "subprocess.Popen[bytes]", url: str) -> None:
    give_up = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < give_up and process.poll() is None:
        with suppress(OSError), urllib.request.urlopen(url, timeout=5):  # noqa: S310 - our own
            time.sleep(JOINED_SECONDS)
            return
        time.sleep(0.5)
    raise RuntimeError(f"MLServer did not start (exit code {process.poll()})")


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], *(int(argument) for argument in sys.argv[2:3])), indent=2))
