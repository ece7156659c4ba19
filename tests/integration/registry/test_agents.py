"""The agents on the real broker: commands through the topic, the published state, poison, a clean stop and start."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import msgspec

from hotswap_events import headers
from hotswap_events.codec import REGISTRY_CODEC
from hotswap_events.commands import AnyCommand
from tests.support.samples.registry import in_envelope, promote, register, roll_back, switch, trained, validate
from tests.support.stages.agents import SECONDS_MAX, AgentsStage, agents_stage


def cause_of(record_headers: tuple[tuple[str, bytes], ...]) -> str:
    return dict(record_headers)[headers.DEAD_LETTER_CAUSE].decode()


async def test_commands_are_answered_and_the_state_is_published(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    async with agents_stage(kafka, topic_prefix, tmp_path) as stage:
        commands: list[AnyCommand] = [
            register(command_id="c1"),
            validate("v1", command_id="c2", promote_first=True),
            register(command_id="c3"),
            promote("v2", command_id="c4"),
            switch("v2", command_id="c5"),
            roll_back(command_id="c6"),
            register("f1", model_name="faces", command_id="c7"),
        ]
        await stage.send(commands)
        results = await stage.results([f"c{number}" for number in range(1, 8)])
        assert {command_id: [result.status for result in found] for command_id, found in results.items()} == {
            "c1": ["accepted"],
            "c2": ["accepted"],
            "c3": ["accepted"],
            "c4": ["refused"],
            "c5": ["accepted"],
            "c6": ["accepted"],
            "c7": ["accepted"],
        }
        assert results["c2"][0].event_types == ("hotswap.model.validated.v1", "hotswap.model.promoted.v1")
        assert results["c4"][0].refusal is not None
        assert results["c4"][0].refusal.code == "illegal-step"
        assert (results["c6"][0].model_version, results["c6"][0].previous_version) == ("v1", "v2")

        published = await stage.published_like_the_fold()
        [*_, digits] = published["digits"]
        assert (digits.active_version, digits.sequence, digits.active_offset) == ("v1", 6, results["c6"][0].offset)
        sequences = [state.sequence for state in published["digits"]]
        assert sequences == sorted(set(sequences))

        await _stop_and_start_cleanly(stage, len(results))
    assert list((tmp_path / "cwd").iterdir()) == []


async def _stop_and_start_cleanly(stage: AgentsStage, results_before: int) -> None:
    """What was handled is committed by a clean stop: nothing is answered or published twice."""
    states_before = len(await stage.records(stage.topics.registry_state))
    pid = stage.supervisor.status("agents").pid
    assert pid is not None
    os.kill(pid, signal.SIGTERM)
    async with asyncio.timeout(SECONDS_MAX):
        ended = await stage.supervisor.wait_for("agents", "restarting")
        assert ended.exit_code == 0
        await stage.supervisor.wait_for("agents", "running")
    await stage.send([register("v9", command_id="after")])
    await stage.results(["after"])
    await stage.published_like_the_fold()
    assert len(await stage.records(stage.topics.command_results)) == results_before + 1
    assert len(await stage.records(stage.topics.registry_state)) == states_before + 1


async def test_poison_is_set_aside_and_what_follows_is_handled(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    async with agents_stage(kafka, topic_prefix, tmp_path) as stage:
        good = msgspec.to_builtins(register(command_id="bad"))
        poison: list[tuple[bytes | None, bytes | None, str]] = [
            (None, b"digits", "null value"),
            (b"{not json", b"digits", "not a command"),
            (b"\x80\x04\x95pickle", b"digits", "not a command"),
            (msgspec.json.encode({**good, "type": "hotswap.command.destroy.v1"}), b"digits", "not a command"),
            (msgspec.json.encode({**good, "artifact": 7}), b"digits", "not a command"),
            (msgspec.json.encode(good), b"\xff\xfe", "not UTF-8"),
            (msgspec.json.encode(good), None, "has no key"),
            (msgspec.json.encode(good), b"faces", "'faces' is not"),
            (msgspec.json.encode({**good, "padding": "x" * 1_000_000}), b"digits", "at most 900000"),
        ]
        for value, key, _cause in poison:
            await stage.producer.send_and_wait(stage.topics.commands, value, key=key, partition=0)
        await _write_garbage_into_the_log(stage)
        await stage.producer.send_and_wait(
            stage.topics.commands, msgspec.json.encode(register(command_id="good")), key=b"digits", partition=0
        )
        results = await stage.results(["good"])

        assert [result.status for result in results["good"]] == ["accepted"]
        assert {result.refusal.code for result in results["bad"] if result.refusal} == {"command-unreadable"}
        assert len(results["bad"]) == 6
        letters = await stage.records(stage.topics.dead_letters)
        letters.sort(key=lambda letter: int(dict(letter.headers)[headers.ORIGIN_OFFSET]))
        assert [int(dict(letter.headers)[headers.ORIGIN_OFFSET]) for letter in letters] == list(range(len(poison)))
        for letter, (value, key, cause) in zip(letters, poison, strict=True):
            assert cause in cause_of(letter.headers)
            assert letter.key == key
            assert letter.value == (None if value is None else value[: len(letter.value or b"")])
        published = await stage.published_like_the_fold()
        assert [state.model_name for states in published.values() for state in states] == ["digits"]
        assert stage.supervisor.status("agents").restarts == 0


async def _write_garbage_into_the_log(stage: AgentsStage) -> None:
    """Records that are void for every reader."""
    garbage = [None, b"", b"\xff\xfe\x00", b"[" * 5_000, b"{}"]
    garbage.append(REGISTRY_CODEC.encode(in_envelope(trained("v1"), sequence=12)))
    garbage.append(REGISTRY_CODEC.encode(in_envelope(trained("v1"), previous="f" * 64)))
    for value in garbage:
        await stage.producer.send_and_wait(stage.topics.registry, value, key=b"\xff", partition=0)


async def test_agents_without_a_broker_end_with_an_error(tmp_path: Path, topic_prefix: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.processes.agents",
        "127.0.0.1:1",
        topic_prefix,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        cwd=tmp_path,
    )
    async with asyncio.timeout(SECONDS_MAX):
        _, said = await process.communicate()
    assert process.returncode == 1
    assert b"127.0.0.1:1" in said
