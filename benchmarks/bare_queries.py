"""The comparison of `api_queries`: Litestar routes that give msgspec structs, and do nothing else.

    python -m benchmarks.bare_queries MODELS

`/models` has as many lines as the list of models, `/status` the fields of a status. The first line says where.
"""

import asyncio
import sys
from datetime import UTC, datetime

import uvicorn
from litestar import Litestar, get

from hotswap_stream.api.monitoring.health import Status
from hotswap_stream.api.protocol.connections import ConnectionLimits
from hotswap_stream.api.protocol.http_protocol import ServerConfig
from hotswap_stream.api.registry.models import ModelList
from hotswap_stream.api.server import listening_socket, new_event_loop
from hotswap_stream.application.registry.queries import ModelSummary

_NOW = datetime.now(UTC)


def application(models: int) -> Litestar:
    """Return the application."""
    lines = tuple(
        ModelSummary(
            model_name=f"m{number:04}",
            active_version="v1",
            former_version=None,
            disabled=False,
            answered_by="v1",
            alerts_raised=0,
            versions_total=1,
            versions_by_stage={"production": 1},
            sequence=2,
            offset=2 * number + 1,
        )
        for number in range(models)
    )
    listed = ModelList(models=lines, total=models)
    shown = Status(
        environment="bench",
        release="0.1.0",
        started_at=_NOW,
        now=_NOW,
        ready=True,
        not_ready_because=(),
        degraded=(),
        models=models,
        active_models=models,
        versions=models,
        alerts_raised=0,
        critical_alerts_raised=0,
        registry_next_offset=2 * models,
        events_applied=2 * models,
        events_void=0,
        event_stream_clients=0,
        event_stream_clients_max=64,
        api_keys_required=False,
    )

    @get("/models")
    async def list_all() -> ModelList:
        return listed

    @get("/status")
    async def status() -> Status:
        return shown

    return Litestar([list_all, status], openapi_config=None, logging_config=None)


async def main(models: int) -> None:
    """Serve until terminated."""
    with listening_socket("127.0.0.1", 0) as listener:
        print(f"on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        config = ServerConfig(
            application(models),
            limits=ConnectionLimits(),
            proxy_headers=False,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
        )
        await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(main(int(sys.argv[1])))
