"""A real MLflow tracking server, as a process of its own, with models in its registry that its own client logged."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

START_SECONDS_MAX = 300.0
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
LOG_MODELS = """
import sys, warnings
warnings.simplefilter("ignore")
import mlflow, numpy as np
from sklearn.linear_model import LogisticRegression
mlflow.set_tracking_uri(sys.argv[1])
rows = np.random.default_rng(0).normal(size=(100, 4)).astype("float32")
model = LogisticRegression().fit(rows, rows[:, 0] > 0)
with mlflow.start_run():
    for name, format in (("good", "skops"), ("bad", "pickle")):
        mlflow.sklearn.log_model(
            model, name=name, serialization_format=format, input_example=rows[:20], registered_model_name="cats",
            pip_requirements=[],
        )
client = mlflow.MlflowClient()
client.set_registered_model_alias("cats", "champion", "1")
client.set_model_version_tag("cats", "1", "team", "a")
"""


@contextmanager
def running_mlflow_server(folder: Path) -> Iterator[str]:
    """Give the URL of a server whose registry has `cats`: version 1 by skops, version 2 a pickle."""
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [
                sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
                "--backend-store-uri", f"sqlite:///{folder}/mlflow.db",
                "--artifacts-destination", str(folder / "artifacts"),
            ],
            stdout=log, stderr=log, env=os.environ | QUIET, start_new_session=True,
        )  # fmt: skip
    try:
        _wait(url, server)
        subprocess.run([sys.executable, "-c", LOG_MODELS, url], check=True, env=os.environ | QUIET, capture_output=True)
        yield url
    finally:
        # It has workers of its own.
        os.killpg(server.pid, 9)
        server.wait()


def _wait(url: str, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while True:
        try:
            if httpx.get(f"{url}/health").status_code == 200:
                return
        except httpx.TransportError:
            pass
        if server.poll() is not None or time.monotonic() > deadline:
            raise AssertionError("MLflow's server did not start")
        time.sleep(0.1)
