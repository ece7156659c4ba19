"""The account of an environment: nothing that was acknowledged is lost, also not for those who start anew."""

from hotswap_events import headers as header_names
from tests.hostile.commands import wrong_commands
from tests.hostile.good_records import NotHandledError
from tests.hostile.places import WINDOW_MODEL, Process
from tests.hostile.probes import Probes
from tests.hostile.stage import HostileStage


async def account(
    hostile: HostileStage, probes: Probes, restarts: tuple[Process, ...] = ("worker", "agents", "api")
) -> list[str]:
    """Start these processes anew, let a good record of each sort through, and look for what is missing."""
    lost: list[str] = []
    try:
        await hostile.restart(restarts)
        await probes.good.ensure_rollout()
        await probes.run(
            ("requests", "http", "commands", "feedback", "observations", "evidence", "fleet", "windows", "dead letters")
        )
    except (NotHandledError, TimeoutError) as error:
        lost.append(f"after a restart of {', '.join(restarts)}: {type(error).__name__}: {error}")
    lost += await wrong_commands(hostile)
    lost += hostile.ended()
    lost += _requests(hostile, probes)
    results = {record.body().get("command_id") for record in hostile.watch.good(hostile.topics.command_results)}
    lost += [f"command {name} has no result" for name in probes.ledger.commands if name not in results]
    return lost


def _requests(hostile: HostileStage, probes: Probes) -> list[str]:
    """Each good request has one answer that counts, and it is a good one."""
    valid: dict[tuple[str, int, int], int] = {}
    wrong: list[str] = []
    for model_name in {model_name for model_name, _partition, _offset in probes.ledger.requests} | {WINDOW_MODEL}:
        highest: dict[int, int] = {}
        for record in hostile.watch.good(hostile.topics.responses(model_name)):
            offset = record.number(header_names.REQUEST_OFFSET)
            if offset is None or offset <= highest.get(record.partition, -1):
                continue
            highest[record.partition] = offset
            place = (model_name, record.partition, offset)
            valid[place] = valid.get(place, 0) + 1
            if place in probes.ledger.requests and record.headers.get(header_names.STATUS) != b"ok":
                wrong.append(f"good request {place} was answered with {record.value!r:.200}")
    lost = [f"good request {place} has no answer that counts" for place in probes.ledger.requests if place not in valid]
    return lost + wrong
