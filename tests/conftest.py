"""Fixtures every test may use. The broker is a real Apache Kafka: when it cannot start, tests fail, they never skip."""

import gc
import os
import re
import sys
import uuid
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import structlog
import typer.testing
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

from tests.support.kafka.run_broker import Preparation, RunBroker
from tests.support.library_log import LibraryLog
from tests.support.processes.forking import Forking

TIERS_WITH_A_BROKER = frozenset({"integration", "fault"})
"""Folders whose tests start brokers, workers and other processes; whatever the single test does."""

BROWSER = "tests/browser"
TOGETHER = (BROWSER, "tests/integration/kafka", "tests/integration/topics")
"""Folders whose files go to one process each: their browser, or their broker, take longer to start than most tests."""

OBJECTS_LOOKED_THROUGH = 20_000
"""How many more objects than before there must be for the garbage collector to look through the new ones."""

# With it, the import of jsonschema compiles 38 grammars, a second in each process of the tests, for the formats `iri`
# and `iri-reference`. Neither our schemas nor those that we are held against have them.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]

# A test that calls the command line would build all its commands each time, a tenth of a second.
typer.testing._get_command = cache(typer.main.get_command)  # type: ignore[attr-defined]

_BROKER = pytest.StashKey[RunBroker]()
_FORKING = pytest.StashKey[Forking]()
_PREPARATION = pytest.StashKey[Preparation]()

# Examples are bounded, and single examples are not timed on a busy machine.
settings.register_profile(
    "full", deadline=None, max_examples=40, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("check", settings.get_profile("full"), max_examples=5)
settings.load_profile("full")


def pytest_configure(config: pytest.Config) -> None:
    # Nothing that is imported or collected goes away again, so there is no garbage to look for until it is all there.
    gc.disable()
    config.pluginmanager.register(LibraryLog())
    config.stash[_BROKER] = RunBroker()
    config.stash[_FORKING] = Forking()
    config.stash[_FORKING].install()
    if getattr(config.option, "numprocesses", None):
        config.stash[_PREPARATION] = Preparation()
    # By default each error comes with the local variables of all its frames, which takes seconds to lay out.
    renderer = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], renderer])


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[_FORKING].close()
    config.stash[_BROKER].close()


def pytest_runtest_setup(item: pytest.Item) -> None:
    item.config.stash[_FORKING].begin_test(executed=item.get_closest_marker("executed") is not None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a broker, by its folder or by what it asks for; put files first that take long."""
    longest: dict[Path, float] = {}
    for item in items:
        if _tier(item) in TIERS_WITH_A_BROKER or _asks_for_a_broker(item):
            item.add_marker(pytest.mark.broker)
        longest[item.path] = max(longest.get(item.path, 0.0), _seconds_allowed(item))
    # Processes share the files. One that is begun as the last keeps all others waiting.
    first = {*TIERS_WITH_A_BROKER, Path(BROWSER).name}
    items.sort(key=lambda item: (-longest[item.path], _tier(item) not in first))


class _Shares(LoadFileScheduling):  # type: ignore[misc]
    """Files, and the folders that share something."""

    def _split_scope(self, nodeid: str) -> str:
        folders = (folder for folder in TOGETHER if nodeid.startswith(f"{folder}/"))
        return next(folders, None) or super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> _Shares | None:
    return _Shares(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: WorkerController) -> None:
    """Have tests begun when brokers start quickly: by then, processes have imported and collected for seconds."""
    if (preparation := node.config.stash.get(_PREPARATION, None)) is not None:
        preparation.wait()


def pytest_collection_finish() -> None:
    """Leave out what all modules brought whenever garbage is collected: it stays to the end, and it is much.

    What tests make is looked through less often than Python does by itself: that took a fifteenth of their time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS_LOOKED_THROUGH)
    gc.enable()


def _tier(item: pytest.Item) -> str:
    return item.path.relative_to(Path(__file__).parent).parts[0]


def _seconds_allowed(item: pytest.Item) -> float:
    """Return how long it may take, if more than usual was asked for: that is known to take long."""
    marker = item.get_closest_marker("timeout")
    return 0.0 if marker is None else float(marker.args[0])


def _asks_for_a_broker(item: pytest.Item) -> bool:
    """Tell whether it uses the fixture, or is the one of several parameters that stands for the real broker."""
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    return "kafka" in getattr(item, "fixturenames", ()) or any(
        value == "kafka" for value in parameters.values() if isinstance(value, str)
    )


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """Undo what a command in this process set up: it logs to a standard error that is closed when it ends."""
    before = structlog.get_config()
    yield
    if structlog.get_config() != before:
        structlog.configure(**before)


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> str:
    """Bootstrap servers of the one single-node broker all tests of a process share; use `topic_prefix` to keep apart.

    Set HOTSWAP_TEST_KAFKA_BOOTSTRAP_SERVERS to run the tests against a cluster of yours instead.
    """
    return os.environ.get("HOTSWAP_TEST_KAFKA_BOOTSTRAP_SERVERS") or request.config.stash[_BROKER].servers()


@pytest.fixture
def topic_prefix(request: pytest.FixtureRequest) -> str:
    """A name no other test has, legal in topic and group names, at most 60 characters."""
    readable = re.sub(r"[^a-zA-Z0-9]+", "-", request.node.name).strip("-").lower()[:40]
    return f"{readable}-{uuid.uuid4().hex[:12]}"
