"""What `top` makes of the messages of the live stream, whoever writes them."""

import io
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from hotswap_stream.cli.planes.live import LiveMessage, messages_of
from hotswap_stream.cli.top.view import TopView


def line(name: str, condition: str = "calm", **fields: Any) -> dict[str, Any]:
    usual = {
        "reasons": [],
        "try_next": None,
        "active_version": "v1",
        "arms": [{"model_version": "v1", "weight": 10_000}],
    }
    return {"model_name": name, "condition": condition, **usual, **fields}


def begun(*lines: dict[str, Any], model_name: str | None = None) -> TopView:
    view = TopView(model_name)
    beginning = {"offset": 7, "overview": {"models": lines}, "evidence": [], "training": []}
    assert view.take("beginning", msgspec.json.encode(beginning))
    return view


def drawn(view: TopView) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(view.drawn())
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_what_hurts_comes_first_and_changes_replace_lines() -> None:
    view = begun(line("digits"), line("fraud", "hurts", reasons=["p95 above 50 ms"], requests_per_second=933.0))
    text = drawn(view)
    assert text.index("fraud") < text.index("digits")
    assert "▲ fraud: p95 above 50 ms" in text
    assert "1 hurts · 0 needs you · 0 moves · 1 calm" in text
    observed = {"known": True, "lines": [line("fraud")]}
    assert view.take("observed", msgspec.json.encode(observed))
    assert "0 hurts" in drawn(view)


def test_the_log_is_shown_newest_first_and_steers_no_terminal() -> None:
    view = begun(line("digits"))
    for offset in range(7, 20):
        event = {"type": "x", "subject": "digits", "actor": "ada", "reason": "\x1b[2Jgone"}
        view.take("event", msgspec.json.encode({"offset": offset, "event": event, "described": "promoted v2"}))
    text = drawn(view)
    assert "19 · digits promoted v2 · ada: �[2Jgone" in text
    assert "\x1b" not in text
    assert "11 · digits" not in text


def test_one_model_alone_and_a_connection_that_is_gone() -> None:
    view = begun(line("digits"), line("fraud"), model_name="fraud")
    assert "digits" not in drawn(view)
    assert view.take("away", b"{}")
    assert "away for" in drawn(view)
    assert view.take("heartbeat", b'{"offset": 9, "behind_by": 3}')
    assert "3 records behind the log" in drawn(view)
    assert (view.document()["connected"], view.document()["offset"]) == (True, 9)


@given(st.sampled_from(["beginning", "observed", "event", "evidence", "training", "heartbeat", "x"]), st.binary())
def test_what_cannot_be_read_changes_nothing(event: str, data: bytes) -> None:
    view = begun(line("digits"))
    view.take(event, data)
    assert list(view.lines) == ["digits"]


async def _pieces(content: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


@pytest.mark.parametrize("size", [1, 3, 1_000])
async def test_messages_are_read_in_whatever_pieces_they_come(size: int) -> None:
    content = (
        b'retry: 1000\n\nid: 4\nevent: event\ndata: {"offset":\ndata: 4}\n\n: quiet\n\nevent: end\r\ndata: {}\r\n\r\n'
    )
    found = [message async for message in messages_of(_pieces(content, size))]
    assert found == [LiveMessage("event", b'{"offset":4}'), LiveMessage("end", b"{}")]
