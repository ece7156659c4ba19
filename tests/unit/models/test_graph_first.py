"""Which versions their graphs answer first, while the code of architectures is on its way."""

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from hotswap_events.registry.version_options import PLAIN
from hotswap_stream.adapters.models.graph_first import GraphFirst
from hotswap_stream.adapters.models.reading import Content
from hotswap_stream.adapters.models.stand_in import StandIn
from hotswap_stream.application.swap.loader import LoadedModel
from tests.unit.models.test_stand_in import MANIFEST, ROWS, Adds, loaded

CONTENT = b"weights"


class Known:
    """Every graph was tried on this machine."""

    async def knows(self, content: Content, graph_digest: str) -> bool:
        """Say so."""
        return bool(content and graph_digest)

    async def exported(self, digest: str, content: Content, graph_digest: str) -> None:
        """Try nothing."""


class Code:
    """Imported when the first version is loaded by it, which goes on until it is let go on."""

    def __init__(self) -> None:
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()
        self.fails = False

    def slow(self) -> bool:
        """Say whether nothing of it is imported: as for a module, not any more when the import has begun."""
        return not self.begun.is_set()

    async def load(self) -> LoadedModel:
        """Load a version."""
        self.begun.set()
        await self.go_on.wait()
        if self.fails:
            raise ValueError("the code is wrong")
        return loaded(Adds("eager", 2.0))


@pytest.fixture
async def code() -> Code:
    return Code()


@pytest.fixture
async def graph_first(code: Code) -> AsyncIterator[GraphFirst]:
    found = GraphFirst(Known(), code.slow, later_seconds=0.0)
    yield found
    found.close()


async def load(graph_first: GraphFirst, code: Code) -> LoadedModel | None:
    async def by_graph() -> LoadedModel:
        return loaded(Adds("exported-graph", 1.0))

    return await graph_first.load(MANIFEST, CONTENT, PLAIN, "sha256:graph", by_graph=by_graph, by_code=code.load)


@pytest.mark.parametrize("fails", [False, True])
async def test_a_version_that_comes_during_the_import_is_answered_by_its_graph_too(
    graph_first: GraphFirst, code: Code, *, fails: bool
) -> None:
    """It would wait until the import has ended: for seconds, in which a promotion changes nothing here."""
    code.fails = fails
    first = await load(graph_first, code)
    assert isinstance(first, StandIn)
    await code.begun.wait()
    second = await load(graph_first, code)
    assert isinstance(second, StandIn)
    assert second.infer(ROWS)["y"][0, 0] == 2.0
    code.go_on.set()
    while await load(graph_first, code) is not None:  # until the code is there: then it loads versions at once
        await asyncio.sleep(0.01)
    while not fails and second.infer(ROWS)["y"][0, 0] != 3.0:
        await asyncio.sleep(0.01)
    assert np.array_equal(second.infer(ROWS)["y"], ROWS["x"] + (1.0 if fails else 2.0))


async def test_a_version_that_is_gone_before_the_import_has_nothing_imported(
    graph_first: GraphFirst, code: Code
) -> None:
    first = await load(graph_first, code)
    assert isinstance(first, StandIn)
    first.close()
    await asyncio.sleep(0.05)
    assert not code.begun.is_set()
    assert isinstance(await load(graph_first, code), StandIn)
