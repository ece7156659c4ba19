"""The part of a release's history in which the log says who is told of events by HTTP."""

from typing import TYPE_CHECKING

from hotswap_events.log_stream import LogBegun
from hotswap_events.webhooks import WebhookRemoved, WebhookSet
from tests.support.samples.registry import register

if TYPE_CHECKING:
    from tests.replay.make_history import Writers

PAGER = WebhookSet(name="pager", url="https://pager.example/in", event_patterns=("hotswap.alert.*",))


async def webhooks(writers: "Writers") -> None:
    """Set, set anew with a secret of its own, removed, and set again."""
    record = writers.one.record
    await record(LogBegun(log_id="00000000-0000-4000-8000-beginning"), actor="/hotswap/api", command_id="begin")
    await writers.send(register("v1"))
    await record(PAGER, actor="ada", command_id="set", reason="we are on call")
    other = WebhookSet(name="pager", url="https://pager.example/v2", event_patterns=("*",), signed_with="pager")
    await record(other, actor="bob", command_id="moved")
    chat = WebhookSet(name="chat", url="http://chat.example:8080/in", event_patterns=("hotswap.model.promoted.*",))
    await record(chat, actor="ada", command_id="chat")
    await record(WebhookRemoved(name="pager"), actor="ada", command_id="removed", reason="another one")
    await record(PAGER, actor="ada", command_id="again")
