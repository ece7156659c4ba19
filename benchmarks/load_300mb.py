"""Loading 300 MB of weights until they have answered, next to reading the file and computing its SHA-256.

    python -m benchmarks.load_300mb

Both read from the page cache, in turns. Ours: the loader's whole way, warm-up of all batch sizes included.
"""

import asyncio
import hashlib
import json
import tempfile
import time
from statistics import median

import psutil

from hotswap_stream.adapters.artifacts.config import ArtifactStoreConfig, open_artifact_store
from hotswap_stream.adapters.torch.executors.config import ExecutorConfig
from hotswap_stream.adapters.torch.executors.loader import TorchModelLoader
from hotswap_stream.adapters.torch.modules.architectures import build_module, manifest_of
from hotswap_stream.adapters.torch.modules.saving import save_module

ARGUMENTS = {"features": 8192, "outputs": 9155}
ROUNDS = 7
AIM = 2.0
MEMORY_SECONDS_MAX = 10.0


async def _measure() -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        store = open_artifact_store(ArtifactStoreConfig(url=folder, artifact_bytes_max=2**30))
        manifest = manifest_of("linear", ARGUMENTS)
        facts = await store.put_artifact(save_module(build_module("linear", ARGUMENTS), manifest))
        path = await store.local_path(facts.digest)
        assert path is not None
        loader = TorchModelLoader(store, config=ExecutorConfig())
        process, rss = psutil.Process(), []
        ours, theirs = [], []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            hashlib.sha256(path.read_bytes()).hexdigest()
            theirs.append(time.perf_counter() - began)
            before = process.memory_info().rss
            began = time.perf_counter()
            model = await loader.load(facts.digest)
            ours.append(time.perf_counter() - began)
            held = process.memory_info().rss - before
            model.close()
            left = await _left(process, before + facts.size_bytes // 10)
            rss.append((held, left - before))
        loader.close()
    ratio = median(mine / other for mine, other in zip(ours, theirs, strict=True))
    return {
        "name": "load 300 MB",
        "ours": round(median(ours), 3),
        "compared_with": "reading the file and its SHA-256",
        "comparison": round(median(theirs), 3),
        "unit": "s",
        "ratio": round(ratio, 2),
        "aim": f"<= {AIM}",
        "holds": ratio <= AIM,
        "memory_held_mib": round(median(held for held, _ in rss) / 2**20),
        "memory_left_after_close_mib": round(rss[-1][1] / 2**20),
    }


async def _left(process: psutil.Process, enough: int) -> int:
    """Return the resident bytes as soon as they are few enough, or when waiting for that has ended."""
    deadline = time.perf_counter() + MEMORY_SECONDS_MAX
    while process.memory_info().rss > enough and time.perf_counter() < deadline:
        await asyncio.sleep(0.02)
    return int(process.memory_info().rss)


def run() -> list[dict[str, object]]:
    """Return medians; the ratio is ours to theirs, so less is better."""
    return [asyncio.run(_measure())]


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
