"""An API before the cluster: what an operator's laptop reaches."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, get_args
from urllib.parse import quote

import httpx
import msgspec
from msgspec import Struct

from hotswap_events.commands import AnyCommand, CommandResult, Refusal, RefusalCode
from hotswap_stream.cli.planes import questions
from hotswap_stream.cli.planes.http_reading import ApiEvents, ApiFailedError, Reader
from hotswap_stream.cli.planes.orders import as_call
from hotswap_stream.cli.planes.port import EventSource, Question
from hotswap_stream.client import http_calls as calls
from hotswap_stream.client.errors import ApiUnreachableError
from hotswap_stream.errors import AuthenticationError

if TYPE_CHECKING:
    from hotswap_events.rollouts.evidence import RolloutEvidence
    from hotswap_events.training.progress import TrainingProgressed
    from hotswap_stream.application.audit.explanation import ExplainedAnswer
    from hotswap_stream.application.datasets.order import DatasetOrder
    from hotswap_stream.application.datasets.view import BuiltDataset
    from hotswap_stream.application.inference.fleet import ModelFleet
    from hotswap_stream.application.monitoring.health import ModelHealth
    from hotswap_stream.application.training.view import TrainingRun
    from hotswap_stream.client.http_client import AsyncRegistryClient

_Answer = TypeVar("_Answer")
_Decoded = TypeVar("_Decoded")
REFUSAL_CODES = frozenset(get_args(RefusalCode))
DATASET_SECONDS_MAX = 3_600.0
"""How long an API may build a dataset."""
ANSWER_BYTES_MAX = 64 * 1024**2


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
        return await question.of_api(Reader(self._get, _past(as_of)))

    async def send(self, command: AnyCommand) -> CommandResult:
        """Post the command; what the API refuses, or asks to try again, is a result."""
        # The name of a key is the actor; nobody acts in another one's name.
        call = as_call(command, tells_actor=not self._has_key)
        if call is None:
            raise ApiFailedError(f"the API takes no {type(command).__name__}; this command needs the cluster itself")
        return await self._settled(call, command.command_id, command.model_name)

    async def order(
        self,
        path: str,
        body: dict[str, Any],
        fields: dict[str, Any],
        *,
        method: str = "POST",
        seconds_max: float = calls.TIMEOUT_S,
    ) -> CommandResult:
        """Ask for what an API makes a command of; the arguments are those of `done`."""
        call = msgspec.structs.replace(self._ordered(path, body, fields), method=method, answer_s_max=seconds_max)
        return await self._settled(call, fields["command_id"], fields["model_name"])

    async def reload(self, model_version: str | None, fields: dict[str, Any]) -> CommandResult:
        """Ask for it."""
        body = {"model_version": model_version}
        return await self.order(f"{calls.model_path(fields['model_name'])}/reload", body, fields)

    async def done(
        self,
        path: str,
        body: dict[str, Any],
        fields: dict[str, Any],
        kind: type[_Decoded],
        *,
        method: str = "POST",
        seconds_max: float = calls.TIMEOUT_S,
    ) -> _Decoded | Refusal:
        """Have the API do something, and return what it says became of it, or what the registry refuses.

        Args:
            path: What is done.
            body: How; what is None is left out.
            fields: Those that all commands have: who, why, and under which id.
            kind: What the answer is.
            method: POST or PUT.
            seconds_max: How long the answer may take.
        """
        call = msgspec.structs.replace(self._ordered(path, body, fields), method=method, answer_s_max=seconds_max)
        return await self._became(call, kind)

    async def _became(self, call: calls.Call, kind: type[_Decoded]) -> _Decoded | Refusal:
        response = await self._request(**call.options())
        if response.is_success:
            return _decoded(response, kind)
        problem = self._problem(response)
        if problem.code in REFUSAL_CODES:
            return _refusal(problem)
        raise self._failed(response, problem)

    async def asked(
        self, path: str, body: dict[str, Any], kind: type[_Decoded], *, seconds_max: float
    ) -> _Decoded | Refusal:
        """Return the answer to a question that has a body; nothing is changed."""
        call = msgspec.structs.replace(calls.command(path, body, None), answer_s_max=seconds_max)
        return await self._became(call, kind)

    def uploads(self) -> "AsyncRegistryClient":
        """Return a client for files that are sent in pieces, closed; `async with` opens it."""
        from hotswap_stream.client.http_client import AsyncRegistryClient

        return AsyncRegistryClient(str(self._client.base_url), self._client.headers.get("X-API-Key"))

    async def downloaded(self, path: str, into: BinaryIO) -> None:
        """Write the bytes at a path into a file, as they come."""
        async for piece in self.streamed(path, seconds_max=calls.TIMEOUT_S):
            into.write(piece)

    async def streamed(self, path: str, *, seconds_max: float) -> AsyncGenerator[bytes, None]:
        """Yield the bytes at a path as they come; ApiUnreachableError where none come for so long."""
        try:
            async with self._client.stream("GET", path, timeout=httpx.Timeout(seconds_max)) as response:
                if not response.is_success:
                    await response.aread()
                    raise self._failed(response, self._problem(response))
                async for piece in response.aiter_bytes():
                    yield piece
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    def _ordered(self, path: str, body: dict[str, Any], fields: dict[str, Any]) -> calls.Call:
        said = {name: fields.get(name) for name in ("reason", "expected_sequence")}
        call = calls.command(path, {**body, **said}, fields["command_id"])
        if self._has_key:
            return call
        return msgspec.structs.replace(call, headers={**call.headers, b"X-Actor": fields["actor"].encode()})

    async def _settled(self, call: calls.Call, command_id: str, model_name: str) -> CommandResult:
        response = await self._request(**call.options())
        if response.is_success:
            return _decoded(response, CommandResult)
        problem = self._problem(response)
        made = CommandResult(command_id=command_id, model_name=model_name, status="refused")
        if problem.code in REFUSAL_CODES:
            return msgspec.structs.replace(made, refusal=_refusal(problem))
        if problem.code == "contention":
            return msgspec.structs.replace(made, status="failed", detail=problem.detail)
        raise self._failed(response, problem)

    async def build_dataset(self, model_name: str, order: "DatasetOrder", command: dict[str, Any]) -> "BuiltDataset":
        """Have the API build a dataset, and wait for it."""
        from hotswap_stream.application.datasets.view import BuiltDataset, DatasetView

        path, body = f"{calls.model_path(model_name)}/datasets", {"order": msgspec.to_builtins(order)}
        found = await self.done(path, body, command, DatasetView, seconds_max=DATASET_SECONDS_MAX)
        made = CommandResult(command_id=command["command_id"], model_name=model_name, status="accepted")
        if isinstance(found, Refusal):
            return BuiltDataset(result=msgspec.structs.replace(made, status="refused", refusal=found))
        return BuiltDataset(result=made, dataset=found)

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
        from hotswap_events.training.progress import TrainingProgressed

        found = await self._get(f"{_run_path(run)}/progress", TrainingProgressed)
        return None if isinstance(found, Refusal) else found

    async def run_file(self, run: "TrainingRun", name: str) -> bytes:
        """Ask for it."""
        response = await self._request(**calls.query(f"{_run_path(run)}/files/{quote(name, safe='')}").options())
        if not response.is_success:
            raise self._failed(response, self._problem(response))
        return response.content

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
        source = ApiEvents(self._get)
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
            raise self._unreachable(error) from error

    def _unreachable(self, error: httpx.HTTPError) -> ApiUnreachableError:
        return ApiUnreachableError(
            f"the API at {self._client.base_url} cannot be reached: {str(error) or type(error).__name__}"
        )

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


def _run_path(run: "TrainingRun") -> str:
    return f"{calls.model_path(run.model_name)}/training-runs/{quote(run.run_id, safe='')}"


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
