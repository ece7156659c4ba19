"""An API before the cluster: what an operator's laptop reaches."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, get_args
from urllib.parse import quote

import httpx
import msgspec
from msgspec import Struct

from hotswap_events.commands import AnyCommand, CommandResult, Refusal, RefusalCode
from hotswap_stream.cli.planes import questions
from hotswap_stream.cli.planes.orders import as_call
from hotswap_stream.cli.planes.port import EventSource, Question
from hotswap_stream.client import http_calls as calls
from hotswap_stream.client.errors import ApiUnreachableError
from hotswap_stream.errors import AuthenticationError, HotswapError

if TYPE_CHECKING:
    from hotswap_events.evidence import RolloutEvidence
    from hotswap_events.training_progress import TrainingProgressed
    from hotswap_stream.application.audit.explanation import ExplainedAnswer
    from hotswap_stream.application.datasets.order import DatasetOrder
    from hotswap_stream.application.datasets.view import BuiltDataset
    from hotswap_stream.application.inference.fleet import ModelFleet
    from hotswap_stream.application.monitoring.health import ModelHealth
    from hotswap_stream.application.registry.feed import EntryFilter, EventPage
    from hotswap_stream.application.training.view import TrainingRun

_Answer = TypeVar("_Answer")
_Decoded = TypeVar("_Decoded")
REFUSAL_CODES = frozenset(get_args(RefusalCode))
DATASET_SECONDS_MAX = 3_600.0
"""How long an API may build a dataset."""
LOOK_SECONDS = 1.0
"""Between two looks for new events."""
ANSWER_BYTES_MAX = 64 * 1024**2


class ApiFailedError(HotswapError):
    """The API did not do what was asked; the message has its status, its code and its words."""


class _Problem(Struct):
    """What of RFC 9457 is read here."""

    code: str = "unknown"
    detail: str = ""
    legal: tuple[str, ...] = ()


@asynccontextmanager
async def open_api(url: str, key: str | None) -> AsyncIterator["ApiPlane"]:
    """Open connections to an API."""
    async with httpx.AsyncClient(**calls.client_options(url, key, calls.TIMEOUT_S)) as client:
        yield ApiPlane(client, has_key=key is not None)


class ApiPlane:
    """The control plane by HTTP."""

    def __init__(self, client: httpx.AsyncClient, *, has_key: bool) -> None:
        self._client = client
        self._has_key = has_key

    async def ask(self, question: Question[_Answer], as_of: int | datetime | None = None) -> _Answer | Refusal:
        """Return the API's answer, now or as of an offset or a time."""
        return await question.of_api(_Reader(self._get, _past(as_of)))

    async def send(self, command: AnyCommand) -> CommandResult:
        """Post the command; what the API refuses, or asks to try again, is a result."""
        # The name of a key is the actor; nobody acts in another one's name.
        call = as_call(command, tells_actor=not self._has_key)
        if call is None:
            raise ApiFailedError(f"the API takes no {type(command).__name__}; this command needs the cluster itself")
        response = await self._request(**call.options())
        if response.is_success:
            return _decoded(response, CommandResult)
        problem = self._problem(response)
        made = CommandResult(command_id=command.command_id, model_name=command.model_name, status="refused")
        if problem.code in REFUSAL_CODES:
            return msgspec.structs.replace(made, refusal=_refusal(problem))
        if problem.code == "contention":
            return msgspec.structs.replace(made, status="failed", detail=problem.detail)
        raise self._failed(response, problem)

    async def build_dataset(self, model_name: str, order: "DatasetOrder", command: dict[str, Any]) -> "BuiltDataset":
        """Have the API build a dataset, and wait for it."""
        from hotswap_stream.application.datasets.view import BuiltDataset, DatasetView

        body = {"order": msgspec.to_builtins(order), "command_id": command["command_id"], "reason": command["reason"]}
        response = await self._request(
            method="POST",
            url=f"{calls.model_path(model_name)}/datasets",
            json=body,
            headers={} if self._has_key else {"X-Actor": command["actor"]},
            timeout=DATASET_SECONDS_MAX,
        )
        made = CommandResult(command_id=command["command_id"], model_name=model_name, status="accepted")
        if response.is_success:
            return BuiltDataset(result=made, dataset=_decoded(response, DatasetView))
        problem = self._problem(response)
        if problem.code in REFUSAL_CODES:
            refused = msgspec.structs.replace(made, status="refused", refusal=_refusal(problem))
            return BuiltDataset(result=refused)
        raise self._failed(response, problem)

    async def fleets(self, model_name: str | None, *, listens: bool = True) -> "tuple[ModelFleet, ...] | Refusal":
        """Ask for the fleet of each model. The API listens all the time."""
        del listens
        from hotswap_stream.application.inference.fleet import ModelFleet

        if model_name is None:
            models = await self.ask(questions.models())
            if isinstance(models, Refusal):
                return models
            names = [each.model_name for each in models]
        else:
            names = [model_name]
        found = []
        for name in names:
            fleet = await self._get(f"{calls.model_path(name)}/fleet", ModelFleet)
            if isinstance(fleet, Refusal):
                return fleet
            found.append(fleet)
        return tuple(found)

    async def evidence(self, model_name: str, rollout_id: str) -> "tuple[RolloutEvidence, ...]":
        """Ask for the newest."""
        from hotswap_stream.application.rollouts.shown import RolloutShown

        path = f"{calls.model_path(model_name)}/rollout/evidence"
        response = await self._request(**calls.query(path, {"rollout_id": rollout_id}).options())
        return _decoded(response, RolloutShown).latest if response.is_success else ()

    async def training_progress(self, run: "TrainingRun") -> "TrainingProgressed | None":
        """Ask for one run."""
        from hotswap_events.training_progress import TrainingProgressed

        path = f"{calls.model_path(run.model_name)}/training-runs/{quote(run.run_id, safe='')}/progress"
        found = await self._get(path, TrainingProgressed)
        return None if isinstance(found, Refusal) else found

    async def health(self) -> "tuple[ModelHealth, ...] | None":
        """Ask for all at once."""
        from hotswap_stream.application.monitoring.health import ModelHealth

        response = await self._request(**calls.query("/api/health/models").options())
        if response.is_success:
            return _decoded(response, tuple[ModelHealth, ...])
        problem = self._problem(response)
        if problem.code == "traffic-unknown":
            return None
        raise self._failed(response, problem)

    async def explained(
        self, request_id: str, place: tuple[int, int] | None, model_name: str | None
    ) -> "ExplainedAnswer":
        """Ask for one answer."""
        from hotswap_stream.application.audit.explanation import ExplainedAnswer

        if place is not None and model_name is not None:
            path, query = f"{calls.model_path(model_name)}/answers/{place[0]}/{place[1]}", {}
        else:
            path, query = f"/api/answers/{quote(request_id, safe='')}", {"model_name": model_name}
        found = await self._get(path, ExplainedAnswer, query)
        if isinstance(found, Refusal):
            raise ApiFailedError(found.reason)
        return found

    async def get(self, path: str, kind: type[_Decoded], query: dict[str, Any] | None = None) -> _Decoded | Refusal:
        """Return what is at the path; what the registry refuses is returned, all else is raised."""
        return await self._get(path, kind, query)

    async def take_feedback(self, model_name: str, items: Sequence[dict[str, Any]], actor: str) -> Refusal | None:
        """Hand feedback over. The name of a key is the actor."""
        call = calls.feedback(model_name, items, None)
        if not self._has_key:
            call = msgspec.structs.replace(call, headers={**call.headers, b"X-Actor": actor.encode()})
        response = await self._request(**call.options())
        if response.is_success:
            return None
        problem = self._problem(response)
        if problem.code in REFUSAL_CODES:
            return _refusal(problem)
        raise self._failed(response, problem)

    async def event_source(self) -> EventSource:
        """Return the log, its end known."""
        source = _ApiEvents(self._get)
        await source.look()
        return source

    async def _get(self, path: str, kind: type[_Decoded], query: dict[str, Any] | None = None) -> _Decoded | Refusal:
        response = await self._request(**calls.query(path, query).options())
        if response.is_success:
            return _decoded(response, kind)
        problem = self._problem(response)
        if problem.code in REFUSAL_CODES and problem.code != "invalid-value":
            return _refusal(problem)
        raise self._failed(response, problem)

    async def _request(self, **options: Any) -> httpx.Response:
        try:
            return await self._client.request(**options)
        except httpx.HTTPError as error:
            raise ApiUnreachableError(
                f"the API at {self._client.base_url} cannot be reached: {str(error) or type(error).__name__}"
            ) from error

    def _problem(self, response: httpx.Response) -> _Problem:
        try:
            problem = msgspec.json.decode(response.content[:ANSWER_BYTES_MAX], type=_Problem)
        except msgspec.DecodeError:
            problem = _Problem(detail=response.text[:200])
        if response.status_code in (401, 403):
            raise AuthenticationError(f"the API at {self._client.base_url} says no: {problem.detail}")
        return problem

    def _failed(self, response: httpx.Response, problem: _Problem) -> ApiFailedError:
        return ApiFailedError(
            f"the API at {self._client.base_url} answers {response.status_code} {problem.code}: {problem.detail}"
        )


class _Reader:
    def __init__(self, get: Callable[..., Any], past: dict[str, object]) -> None:
        self._get = get
        self._past = past

    async def get(self, path: str, kind: type[_Decoded], query: dict[str, object] | None = None) -> _Decoded | Refusal:
        found: _Decoded | Refusal = await self._get(path, kind, {**(query or {}), **self._past})
        return found


class _ApiEvents:
    def __init__(self, get: Callable[..., Any]) -> None:
        self._get = get
        self._end_offset = 0

    @property
    def end_offset(self) -> int:
        return self._end_offset

    async def look(self) -> None:
        from hotswap_stream.application.registry.feed import EntryFilter

        await self.page(max(self._end_offset, 0), limit=1, wanted=EntryFilter())

    async def page(self, from_offset: int, *, limit: int, wanted: "EntryFilter") -> "EventPage":
        from hotswap_stream.application.registry.feed import EventPage, LogEntry

        class Page(Struct):
            events: tuple[LogEntry, ...]
            next_offset: int
            end_offset: int

        query = {
            "from_offset": from_offset,
            "limit": limit,
            "model_name": wanted.model_name,
            "type": wanted.event_type,
        }
        found = await self._get("/api/events", Page, query)
        if isinstance(found, Refusal):
            raise ApiFailedError(found.reason)
        self._end_offset = found.end_offset
        return EventPage(
            entries=found.events,
            first_offset=from_offset,
            next_offset=found.next_offset,
            end_offset=found.end_offset,
        )

    async def wait_for_change(self, end_offset: int, stop: asyncio.Event) -> bool:
        while self._end_offset == end_offset:
            try:
                await asyncio.wait_for(stop.wait(), LOOK_SECONDS)
                return False
            except TimeoutError:
                await self.look()
        return True


def _past(as_of: int | datetime | None) -> dict[str, object]:
    if as_of is None:
        return {}
    return {"as_of_time": as_of.isoformat()} if isinstance(as_of, datetime) else {"as_of_offset": as_of}


def _refusal(problem: _Problem) -> Refusal:
    return msgspec.convert({"code": problem.code, "reason": problem.detail, "legal": problem.legal}, Refusal)


def _decoded(response: httpx.Response, kind: type[_Decoded]) -> _Decoded:
    try:
        return msgspec.json.decode(response.content, type=kind)
    except msgspec.DecodeError as error:
        raise ApiFailedError(f"the API at {response.url} answers what this release does not read: {error}") from error
