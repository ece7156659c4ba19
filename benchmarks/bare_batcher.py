"""The comparison of `http_predict`: an ASGI application that gathers requests into batches for eager torch.

    python -m benchmarks.bare_batcher ARCHITECTURE

It takes and gives raw tensors as the gateway does, on the same HTTP server and event loop, and leaves out everything
else: no Kafka, no registry, no checks, no provenance.
"""

import asyncio
import sys
from typing import Any

import numpy as np
import torch
import uvicorn

from hotswap_stream.adapters.torch.modules.architectures import build_module, manifest_of
from hotswap_stream.api.protocol.connections import ConnectionLimits
from hotswap_stream.api.protocol.http_protocol import ServerConfig
from hotswap_stream.api.server import listening_socket

BATCH_ROWS_MAX = 64
QUEUE_MAX = 4_096
_LENGTH = b"inference-header-content-length"


class Batcher:
    """While one batch computes in a thread, what comes forms the next."""

    def __init__(self, architecture: str) -> None:
        self._manifest = manifest_of(architecture, {})
        self._module = build_module(architecture, {}).eval()
        self._row_shape = self._manifest.inputs[0].shape[1:]
        self._queue: asyncio.Queue[tuple[bytes, asyncio.Future[bytes]]] = asyncio.Queue(QUEUE_MAX)

    def metadata(self) -> bytes:
        """Return what the load test asks first."""
        inputs = ",".join(
            f'{{"name":"{spec.name}","datatype":"{spec.datatype}","shape":{list(spec.shape)}}}'
            for spec in self._manifest.inputs
        )
        return f'{{"inputs":[{inputs}]}}'.encode()

    async def ask(self, row: bytes) -> bytes:
        """Return the raw scores of one row."""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        await self._queue.put((row, answer))
        return await answer

    async def run(self) -> None:
        """Compute batch after batch, until cancelled."""
        while True:
            batch = [await self._queue.get()]
            while len(batch) < BATCH_ROWS_MAX and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            scores = await asyncio.to_thread(self._infer, [row for row, _ in batch])
            for (_, answer), row_scores in zip(batch, scores, strict=True):
                if not answer.done():
                    answer.set_result(row_scores.tobytes())

    def _infer(self, rows: list[bytes]) -> Any:
        array = np.frombuffer(b"".join(rows), dtype="<f4").reshape(len(rows), *self._row_shape)
        with torch.inference_mode():
            return self._module(torch.from_numpy(array.copy())).numpy()


def application(batcher: Batcher) -> Any:
    """Handle one request, as ASGI wants."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        if scope["method"] == "GET":
            await _respond(send, batcher.metadata(), [])
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        json_bytes = int(dict(scope["headers"])[_LENGTH])
        scores = await batcher.ask(body[json_bytes:])
        output = b'{"name":"scores","datatype":"FP32","shape":[1,%d]}' % (len(scores) // 4)
        text = b'{"model_name":"bare","model_version":"bare","outputs":[%s]}' % output
        await _respond(send, text + scores, [(_LENGTH, b"%d" % len(text))])

    return app


async def _respond(send: Any, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body)), *headers]}
    )
    await send({"type": "http.response.body", "body": body})


async def main(architecture: str) -> None:
    """Serve until terminated; the first line says where."""
    torch.set_num_threads(1)
    batcher = Batcher(architecture)
    running = asyncio.create_task(batcher.run())
    with listening_socket("127.0.0.1", 0) as listener:
        print(f"on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        config = ServerConfig(
            application(batcher),
            limits=ConnectionLimits(),
            proxy_headers=False,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
        )
        await uvicorn.Server(config).serve(sockets=[listener])
    running.cancel()


if __name__ == "__main__":
    from hotswap_stream.api.server import new_event_loop

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(main(sys.argv[1]))
