"""The registry topic deleted, replaced, restored or beheaded under commands and processes, on the real broker."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import structlog
from msgspec.structs import replace
from typer.testing import CliRunner, Result

from hotswap_stream import bootstrap
from hotswap_stream.adapters.kafka.seen_log import read_seen_log
from hotswap_stream.agents.topics import stream_heads_topic
from hotswap_stream.application.log.port import LogRecord
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.cli.app import build_app
from hotswap_stream.errors import HotswapError, LogReplacedError, LogUnavailableError
from hotswap_stream.settings import Settings
from tests.support.kafka.log_topic import LogTopic
from tests.support.samples.registry import MODEL, LogBuilder, register, trained

SECONDS_MAX = 60.0
Cli = Callable[..., Result]


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    return Settings(
        kafka_bootstrap_servers=kafka,
        topic_prefix=topic_prefix,
        home=tmp_path / "home",
        request_partitions=1,
        api_open="loopback",
    )


@pytest.fixture
def topic(kafka: str, topic_prefix: str) -> LogTopic:
    return LogTopic(kafka, topic_prefix)


@pytest.fixture
def cli(settings: Settings) -> Cli:
    def invoke(*arguments: str, code: int = 0, home: Path = settings.home) -> Result:
        environment = {
            "HOTSWAP_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers or "",
            "HOTSWAP_TOPIC_PREFIX": settings.topic_prefix,
            "HOTSWAP_REQUEST_PARTITIONS": "1",
            "HOTSWAP_HOME": str(home),
        }
        result = CliRunner().invoke(build_app(), arguments, env=environment)
        structlog.reset_defaults()
        assert result.exit_code == code, (arguments, result.output, result.exception)
        return result

    return invoke


def other_log(count: int = 12) -> list[LogRecord]:
    """Records of another log, more than a test's own has."""
    log = LogBuilder()
    for number in range(count):
        log.append(trained(f"other-{number}"), subject="faces")
    return log.records


async def _with_version(settings: Settings) -> None:
    async with bootstrap.open_registry(settings) as registry:
        assert (await registry.handle(register("v1"))).status == "accepted"
        assert (await registry.handle(register("v2"))).status == "accepted"


def test_commands_do_not_make_a_deleted_log_anew(cli: Cli, settings: Settings, topic: LogTopic) -> None:
    """Any command made the deleted topic again, empty, and `models` showed nothing with exit code 0."""
    asyncio.run(_with_version(settings))
    asyncio.run(topic.delete())
    for command in (["models"], ["audit", "verify"], ["topics"], ["events"], ["stage", MODEL, "v1"]):
        refused = cli(*command, code=1)
        assert refused.stdout == ""
        assert f"there is no topic '{topic.name}'" in refused.stderr
        assert "seen was the log" in refused.stderr
        assert "registry accept" in refused.stderr
    assert not asyncio.run(topic.exists())
    assert "began at" in cli("registry", "known").output

    accepted = json.loads(cli("registry", "accept", "--yes", "--json").stdout)
    assert accepted["before"]["next_offset"] == 3
    assert accepted["now"]["next_offset"] == 1
    assert accepted["now"]["identity"] != accepted["before"]["identity"]
    assert json.loads(cli("models", "--json").stdout) == []
    cli("audit", "verify")


def test_another_log_under_the_same_name_is_refused(cli: Cli, settings: Settings, topic: LogTopic) -> None:
    """A topic made again by others was taken for the log."""
    asyncio.run(_with_version(settings))
    asyncio.run(topic.replace(other_log()))
    refused = cli("models", code=1)
    assert "not the one that was seen" in refused.stderr
    assert "with 3 records; there is the log" in refused.stderr
    cli("registry", "accept", "--yes")
    (model,) = json.loads(cli("models", "--json").stdout)
    assert model["model_name"] == "faces"


def test_an_empty_log_in_place_of_a_known_one_is_refused(cli: Cli, settings: Settings, topic: LogTopic) -> None:
    asyncio.run(_with_version(settings))
    asyncio.run(topic.replace())
    assert "it is empty" in cli("models", code=1).stderr
    assert asyncio.run(topic.records()) == []


def test_a_log_that_lost_its_end_is_refused(cli: Cli, settings: Settings, topic: LogTopic) -> None:
    """Restored from an old copy: the first record is the same, the last ones are missing."""
    asyncio.run(_with_version(settings))
    asyncio.run(topic.replace(asyncio.run(topic.records())[:2]))
    refused = cli("models", code=1)
    assert "records of the registry log are gone" in refused.stderr
    assert "it ends before offset 2 now" in refused.stderr
    cli("registry", "accept", "--yes")
    (model,) = json.loads(cli("models", "--json").stdout)
    assert model["versions_total"] == 1


def test_a_log_without_its_beginning_is_refused(cli: Cli, settings: Settings, topic: LogTopic) -> None:
    asyncio.run(_with_version(settings))
    asyncio.run(topic.behead(1))
    for command in (["models"], ["registry", "accept", "--yes"]):
        refused = cli(*command, code=1)
        assert "the beginning of" in refused.stderr
        assert "hotswap-stream reset" in refused.stderr
    assert json.loads(cli("registry", "known", "--json").stdout)["next_offset"] == 3, "still known"


def test_a_log_that_was_begun_by_an_older_release_is_known_by_its_first_record(
    cli: Cli, settings: Settings, topic: LogTopic
) -> None:
    asyncio.run(topic.create())
    asyncio.run(topic.append(other_log(3)))
    (model,) = json.loads(cli("models", "--json").stdout)
    assert (model["model_name"], model["offset"]) == ("faces", 2), "nothing was written to it"
    asyncio.run(topic.replace(LogBuilder().append(trained("v1")).records))
    assert "not the one that was seen" in cli("models", code=1).stderr


def test_a_memory_that_does_not_read_is_put_aside(cli: Cli, settings: Settings) -> None:
    asyncio.run(_with_version(settings))
    (file,) = (settings.home / "registry").iterdir()
    file.write_bytes(b"\xff{")
    cli("models")
    assert file.with_suffix(".damaged").read_bytes() == b"\xff{"
    assert json.loads(cli("registry", "known", "--json").stdout)["next_offset"] == 3


def test_reset_forgets_the_log(cli: Cli, settings: Settings) -> None:
    asyncio.run(_with_version(settings))
    cli("reset", "--yes")
    assert "remembers no registry log" in cli("registry", "known", code=1).stderr
    assert json.loads(cli("models", "--json").stdout) == []


async def test_several_that_begin_a_log_at_once_agree_on_its_beginning(settings: Settings, tmp_path: Path) -> None:
    homes = [replace(settings, home=tmp_path / name) for name in ("one", "two", "three")]
    await bootstrap.ensure_control_topics(settings)
    registries = [bootstrap.build_registry(each, "test") for each in homes]
    try:
        await asyncio.gather(*(registry.start() for registry in registries))
        await asyncio.gather(*(registry.catch_up() for registry in registries))
        begun = {str(registry.fold.log.begun) for registry in registries}
        assert len(begun) == 1
        assert "log_id" in begun.pop()
        assert all(registry.fold.log.sequence == 1 for registry in registries)
        assert len({registry.log_identity for registry in registries}) == 1
        assert registries[0].fold.streams == {}
    finally:
        await asyncio.gather(*(registry.stop() for registry in registries))


async def refuses(registry: Registry) -> None:
    """Every command is refused with a LogUnavailableError from here on, whatever was decided on before."""
    async with asyncio.timeout(SECONDS_MAX):
        with pytest.raises(LogReplacedError, match="registry accept"):
            await registry.handle(register())
    assert not registry.healthy
    for command in (register(), register("v1", command_id="again")):
        with pytest.raises(LogReplacedError):
            await registry.handle(command)


@pytest.mark.parametrize("records", [0, 12], ids=["empty", "grown past what was read"])
async def test_a_log_replaced_under_a_running_process_takes_no_command(
    settings: Settings, topic: LogTopic, records: int
) -> None:
    """A command appended to the new log was answered with the outcome of the old log's record at the same offset."""
    async with bootstrap.open_registry(settings) as registry:
        for number in range(4):
            assert (await registry.handle(register(f"v{number}"))).status == "accepted"
        await topic.replace(other_log(records))
        await refuses(registry)


async def test_a_process_notices_by_itself_that_its_log_was_replaced(settings: Settings, topic: LogTopic) -> None:
    async with bootstrap.open_registry(settings) as registry:
        for number in range(4):
            await registry.handle(register(f"v{number}"))
        await topic.replace(other_log())
        async with asyncio.timeout(SECONDS_MAX):
            with pytest.raises(LogReplacedError):
                await registry.ended()
        assert not registry.healthy


async def test_an_api_whose_log_was_replaced_answers_503_and_ends(settings: Settings, topic: LogTopic) -> None:
    """An API whose follower had died went on to answer "accepted"."""
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(
        bootstrap.serve_api(replace(settings, api_port=0), on_started=url.set_result, stop_on_signals=False)
    )
    try:
        async with asyncio.timeout(SECONDS_MAX), httpx.AsyncClient() as client:
            base = await url
            async with bootstrap.open_registry(settings) as registry:
                for number in range(4):
                    await registry.handle(register(f"v{number}"))
            assert (await client.post(f"{base}/api/models/{MODEL}/disable", json={})).status_code == 200
            await topic.replace(other_log(1))
            try:
                answer = await client.post(f"{base}/api/models/{MODEL}/enable", json={})
            except httpx.HTTPError:
                pass  # it has noticed by itself, and ended
            else:
                assert (answer.status_code, answer.json()["code"]) == (503, "log-replaced"), answer.text
            with pytest.raises(LogReplacedError):
                await serving
            with pytest.raises(httpx.HTTPError):
                await client.get(f"{base}/api/health/live")
    finally:
        serving.cancel()
        await asyncio.wait({serving})
    with pytest.raises(LogReplacedError):
        await bootstrap.serve_api(replace(settings, api_port=0), stop_on_signals=False)


async def test_a_worker_ends_and_does_not_start_on_another_log(settings: Settings, topic: LogTopic) -> None:
    await _with_version(settings)
    worker = await bootstrap.build_worker(settings, "w1")
    try:
        await worker.start()
        await topic.replace(other_log())
        async with asyncio.timeout(SECONDS_MAX):
            with pytest.raises(HotswapError, match="registry log"):
                await worker.run()
    finally:
        await worker.stop()
    again = await bootstrap.build_worker(settings, "w1")
    try:
        with pytest.raises(LogReplacedError):
            await again.start()
    finally:
        await again.stop()


async def test_agents_end_and_do_not_start_on_another_log(settings: Settings, topic: LogTopic) -> None:
    await _with_version(settings)
    ready = asyncio.Event()
    agents = asyncio.create_task(bootstrap.run_control_agents(settings, asyncio.Event(), on_ready=ready.set))
    async with asyncio.timeout(SECONDS_MAX):
        await ready.wait()
        await topic.replace(other_log())
        with pytest.raises(HotswapError, match="log"):
            await agents
        with pytest.raises(LogReplacedError):
            await bootstrap.run_control_agents(settings, asyncio.Event())


def test_a_machine_that_remembers_nothing_asks_the_agents_table(
    cli: Cli, settings: Settings, topic: LogTopic, tmp_path: Path
) -> None:
    """Homes of containers go with them."""

    async def run_agents() -> None:
        ready, stop = asyncio.Event(), asyncio.Event()
        agents = asyncio.create_task(bootstrap.run_control_agents(settings, stop, on_ready=ready.set))
        async with asyncio.timeout(SECONDS_MAX):
            await ready.wait()
            await _with_version(settings)
            table, seen = stream_heads_topic(bootstrap.topics(settings)), None
            while seen is None or seen.next_offset < 3:
                await asyncio.sleep(0.1)
                seen = await read_seen_log(bootstrap.connection(settings), table)
            stop.set()
            await agents

    asyncio.run(run_agents())
    asyncio.run(topic.delete())
    assert "there is no topic" in cli("models", code=1, home=tmp_path / "one").stderr
    asyncio.run(topic.create())
    asyncio.run(topic.append(other_log()))
    assert "there is the log" in cli("models", code=1, home=tmp_path / "two").stderr
    cli("registry", "accept", "--yes", home=tmp_path / "two")
    for home in ("two", "three"):
        (model,) = json.loads(cli("models", "--json", home=tmp_path / home).stdout)
        assert model["model_name"] == "faces"


async def test_the_log_of_another_environment_is_another_one(settings: Settings, topic_prefix: str) -> None:
    await _with_version(settings)
    async with bootstrap.open_registry(replace(settings, topic_prefix=f"{topic_prefix[:50]}-other")) as registry:
        assert registry.fold.streams == {}
    with pytest.raises(LogUnavailableError):
        await registry.handle(register())
