"""Which control plane the settings choose."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hotswap_stream.cli.planes.port import ControlPlane
    from hotswap_stream.settings import Settings


@asynccontextmanager
async def open_plane(settings: "Settings") -> AsyncIterator["ControlPlane"]:
    """Open the API, where the settings name one and no cluster, or else the cluster."""
    if settings.api_url is not None and settings.kafka_bootstrap_servers is None:
        from hotswap_stream.cli.planes.http import open_api

        async with open_api(settings.api_url, settings.api_key) as api:
            yield api
        return
    from hotswap_stream.cli.planes.cluster import open_cluster

    async with open_cluster(settings) as cluster:
        yield cluster
