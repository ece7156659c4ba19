"""Events of the log at real receivers, by way of the real broker."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from hotswap_events.codec import REGISTRY_CODEC
from hotswap_events.envelope import GENESIS
from hotswap_stream import bootstrap
from hotswap_stream.adapters.http.webhook_post import HttpWebhookPoster
from hotswap_stream.application.webhooks import delivery as webhook_delivery
from hotswap_stream.application.webhooks.retry import PostOutcome
from tests.support.samples.registry import in_envelope, trained
from tests.support.stages.serving import headers, open_stage
from tests.support.stages.webhooks import IMPATIENT, caught_up, delivering, register, settings_for
from tests.support.webhook_receiver import OTHER_SECRET, SECONDS_MAX, SECRET, Answer, Receiver


async def test_events_arrive_signed_in_order_and_byte_for_byte(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    async with Receiver() as receiver:
        settings = settings_for(
            kafka, topic_prefix, tmp_path, receiver.url(), webhook_secret=f"{SECRET} {OTHER_SECRET}"
        )
        async with open_stage(settings) as stage:
            await register(stage, 0)  # before there was a webhook: it is not told
            async with delivering(settings):
                appended = [await register(stage, number) for number in range(1, 21)]
                came = await receiver.until(20)
                await caught_up(settings)
                (place,) = (await bootstrap.webhook_places(settings)).values()
    assert [each.body for each in came] == [record.value for record in appended]
    assert [int(each.headers["hotswap-offset"]) for each in came] == [record.offset for record in appended]
    for each in came:
        assert each.verified(SECRET) == each.verified(OTHER_SECRET) == msgspec.json.decode(each.body)
        assert each.message_id == each.verified()["id"]
        assert each.headers["content-type"] == "application/cloudevents+json; charset=UTF-8"
    assert (place.lag, place.note.delivered, place.note.failing_since) == (0, 20, None)


async def test_a_receiver_that_takes_it_the_third_time_gets_it_under_the_same_id(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with Receiver() as receiver:
        settings = settings_for(kafka, topic_prefix, tmp_path, receiver.url())
        receiver.answers["/hook"].extend([Answer(503), Answer(429, {"retry-after": "1"})])
        async with open_stage(settings) as stage, delivering(settings):
            await register(stage, 1)
            await register(stage, 2)
            came = await receiver.until(4)
            await caught_up(settings)
    assert len({each.message_id for each in came[:3]}) == 1
    assert came[3].message_id != came[0].message_id
    assert [each.verified()["data"]["model_version"] for each in came] == ["v1", "v1", "v1", "v2"]


async def test_one_that_is_down_holds_up_no_other(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    async with Receiver() as receiver:
        urls = f"down={receiver.url('/down')},good={receiver.url('/good')}"
        settings = settings_for(kafka, topic_prefix, tmp_path, urls)
        receiver.always["/down"] = Answer(500, body=b"sorry")
        async with open_stage(settings) as stage, delivering(settings):
            for number in range(1, 6):
                await register(stage, number)
            good = await receiver.until(5, "/good")
            down = await receiver.until(5, "/down")
            places = await bootstrap.webhook_places(settings)
            del receiver.always["/down"]  # it comes back, and is told of all in order
            await caught_up(settings)
    assert [each.verified()["data"]["model_version"] for each in good] == ["v1", "v2", "v3", "v4", "v5"]
    assert len({each.message_id for each in down}) == 1
    assert places["down"].note.last_failure == "HTTP 500: sorry"
    assert places["down"].note.failing_since is not None
    told = [each.verified()["data"]["model_version"] for each in receiver.at("/down")]
    assert list(dict.fromkeys(told)) == ["v1", "v2", "v3", "v4", "v5"]
    assert told[-4:] == ["v2", "v3", "v4", "v5"]


async def test_a_refusal_is_a_dead_letter_and_the_next_one_arrives(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with Receiver() as receiver:
        settings = settings_for(kafka, topic_prefix, tmp_path, f"pager={receiver.url('/hook?token=hush')}")
        receiver.answers["/hook?token=hush"].append(Answer(400, body=b"not this one"))
        with structlog.testing.capture_logs() as logs:
            async with open_stage(settings) as stage, delivering(settings):
                refused = await register(stage, 1)
                taken = await register(stage, 2)
                came = await receiver.until(2, "/hook?token=hush")
                await caught_up(settings)
                (letter,) = await stage.records(stage.topics.dead_letters, None, 1)
                (place,) = (await bootstrap.webhook_places(settings)).values()
    assert [each.body for each in came] == [refused.value, taken.value]
    assert letter.value == refused.value
    told = {name: value.decode() for name, value in headers(letter).items()}
    assert told["hotswap-dead-letter-cause"] == (
        "webhook pager did not take it in 1 attempts, the last one: HTTP 400: not this one"
    )
    assert told["hotswap-origin-offset"] == str(refused.offset)
    assert (place.note.delivered, place.note.dead_letters) == (1, 1)
    assert {"webhook_given_up", "webhook_delivered"} <= {entry["event"] for entry in logs}
    assert not [entry for entry in logs if "hush" in str(entry) or SECRET.removeprefix("whsec_") in str(entry)]


async def test_what_is_too_old_is_given_up_after_three_attempts(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    async with Receiver() as receiver:
        settings = settings_for(kafka, topic_prefix, tmp_path, receiver.url())
        receiver.answers["/hook"].extend([Answer(500)] * 3)
        async with open_stage(settings) as stage, delivering(settings, IMPATIENT):
            await register(stage, 1)
            await register(stage, 2)
            came = await receiver.until(4)
            (letter,) = await stage.records(stage.topics.dead_letters, None, 1)
    assert [each.verified()["data"]["model_version"] for each in came] == ["v1", "v1", "v1", "v2"]
    assert letter.value == came[0].body


async def test_what_happens_meanwhile_is_told_after_the_next_start(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with Receiver() as receiver:
        settings = settings_for(kafka, topic_prefix, tmp_path, receiver.url())
        async with open_stage(settings) as stage:
            async with delivering(settings):
                await register(stage, 1)
                await receiver.until(1)
            for number in (2, 3):
                await register(stage, number)
            async with delivering(settings):
                await register(stage, 4)
                await receiver.until(4)
                await caught_up(settings)
                (place,) = (await bootstrap.webhook_places(settings)).values()
    assert [each.verified()["data"]["model_version"] for each in receiver.at()] == ["v1", "v2", "v3", "v4"]
    assert place.note.delivered == 4


async def test_void_events_are_not_posted(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    late = REGISTRY_CODEC.encode(in_envelope(trained("v9"), sequence=1, previous=GENESIS))
    async with Receiver() as receiver:
        settings = settings_for(kafka, topic_prefix, tmp_path, receiver.url())
        async with open_stage(settings) as stage, delivering(settings) as registry:
            first = await register(stage, 1)
            await stage.registry.log.append(b"digits", [late, b"no event at all"])
            last = await register(stage, 2)
            await receiver.until(2)
            await caught_up(settings)
            assert registry.fold.void_count == 2
    assert [each.body for each in receiver.at()] == [first.value, last.value]


async def test_of_two_processes_one_delivers_and_the_other_takes_over(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with Receiver() as receiver:
        settings = settings_for(kafka, topic_prefix, tmp_path, receiver.url())
        async with open_stage(settings) as stage, delivering(settings):
            async with delivering(settings):
                for number in range(1, 6):
                    await register(stage, number)
                await receiver.until(5)
            for number in range(6, 11):
                await register(stage, number)
            await receiver.until(10)
            await caught_up(settings)
    versions = [each.verified()["data"]["model_version"] for each in receiver.at()]
    assert versions == [f"v{number}" for number in range(1, 11)]


async def test_an_attempt_that_is_being_made_is_not_made_by_another_process_too(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    """The second process asks for the place while the first waits for an answer: it is handed on behind the event."""
    answer = asyncio.Event()
    async with Receiver() as receiver:
        settings = settings_for(kafka, topic_prefix, tmp_path, receiver.url(), webhook_timeout_ms=60_000)
        receiver.answers["/hook"].append(Answer(hold=answer))
        async with open_stage(settings) as stage, delivering(settings):
            await register(stage, 1)
            await receiver.until(1)
            with structlog.testing.capture_logs() as logs:
                async with delivering(settings):
                    async with asyncio.timeout(SECONDS_MAX):
                        while "webhook_place_asked_for" not in {entry["event"] for entry in logs}:
                            await asyncio.sleep(0.05)
                    answer.set()
                    await register(stage, 2)
                    await receiver.until(2)
                    await caught_up(settings)
    assert [each.verified()["data"]["model_version"] for each in receiver.at()] == ["v1", "v2"]
    assert {"webhook_interrupted", "webhook_failed"}.isdisjoint(entry["event"] for entry in logs)


async def test_a_bug_in_one_delivery_ends_neither_it_nor_the_process(
    kafka: str, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_delivery, "REOPEN_SECONDS", 0.01)
    original, bugs = HttpWebhookPoster.post, ["first", "second"]

    async def buggy(self: HttpWebhookPoster, *arguments: Any) -> PostOutcome:
        if bugs:
            raise RuntimeError(bugs.pop())
        return await original(self, *arguments)

    monkeypatch.setattr(HttpWebhookPoster, "post", buggy)
    async with Receiver() as receiver:
        settings = settings_for(kafka, topic_prefix, tmp_path, receiver.url())
        with structlog.testing.capture_logs() as logs:
            async with open_stage(settings) as stage, delivering(settings):
                await register(stage, 1)
                await receiver.until(1)
    assert bugs == []
    assert [entry["log_level"] for entry in logs if entry["event"] == "webhook_failed"] == ["error"] * 2


@pytest.mark.parametrize("urls", [None, ""])
async def test_without_webhooks_nothing_is_followed(
    kafka: str, topic_prefix: str, tmp_path: Path, urls: str | None
) -> None:
    settings = settings_for(kafka, topic_prefix, tmp_path, urls or "", webhook_secret=None)
    async with delivering(settings) as registry:
        assert registry.healthy
    assert await bootstrap.webhook_places(settings) == {}
