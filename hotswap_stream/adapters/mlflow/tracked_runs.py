"""Training runs told to an MLflow tracking server, each once."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import httpx
import msgspec
from msgspec import Struct

from hotswap_stream.adapters.mlflow.tracking_server import ANSWER_BYTES_MAX, TrackingServer
from hotswap_stream.application.mlflow.source import SourceRefusedError, SourceUnavailableError
from hotswap_stream.application.mlflow.tracking import RUN_TAG, TrackedRun

METRICS_A_CALL = 500
_THERE_ALREADY = "RESOURCE_ALREADY_EXISTS"
_Answer = TypeVar("_Answer")
_encoder = msgspec.json.Encoder()


class _Experiment(Struct):
    experiment_id: str


class _Info(Struct):
    run_id: str


class _Run(Struct):
    info: _Info


class _Created(Struct):
    run: _Run


class _Found(Struct):
    runs: list[_Run] = []


class _ByName(Struct):
    experiment: _Experiment


class _Nothing(Struct):
    pass


class TrackedRuns(TrackingServer):
    """Tells one server of runs. Errors as of TrackingServer."""

    async def tell(self, run: TrackedRun, experiment: str) -> tuple[str, bool]:
        """Make a run of MLflow; return its id there, and whether it was there already, which changes nothing."""
        experiment_id = await self._experiment(experiment)
        # The id of a run has no quotes.
        search = {"experiment_ids": [experiment_id], "filter": f"tags.`{RUN_TAG}` = '{run.run_id}'", "max_results": 1}
        found = await self._post("runs/search", _Found, search)
        if found.runs:
            return found.runs[0].info.run_id, True
        # The tag by which it is known again comes last: a run that was told in part is told anew.
        tags = [{"key": key, "value": value} for key, value in run.tags.items() if key != RUN_TAG]
        created = await self._post(
            "runs/create",
            _Created,
            {"experiment_id": experiment_id, "run_name": run.name, "start_time": run.start_time, "tags": tags},
        )
        there = created.run.info.run_id
        for batch in _batches(run):
            await self._post("runs/log-batch", _Nothing, {"run_id": there, **batch})
        ended = {} if run.end_time is None else {"end_time": run.end_time}
        await self._post("runs/update", _Nothing, {"run_id": there, "status": run.status, **ended})
        await self._post("runs/set-tag", _Nothing, {"run_id": there, "key": RUN_TAG, "value": run.run_id})
        return there, False

    async def _experiment(self, name: str) -> str:
        try:
            return (await self._post("experiments/create", _Experiment, {"name": name})).experiment_id
        except SourceRefusedError as error:
            if _THERE_ALREADY not in str(error):
                raise
        return (await self._ask("experiments/get-by-name", _ByName, {"experiment_name": name})).experiment.experiment_id

    async def _post(self, what: str, kind: type[_Answer], body: Mapping[str, Any]) -> _Answer:
        headers = {"Accept-Encoding": "identity", "Content-Type": "application/json"}
        content = b""
        try:
            async with self._client.stream(
                "POST", f"/api/2.0/mlflow/{what}", content=_encoder.encode(body), headers=headers
            ) as response:
                await self._check(response)
                async for piece in response.aiter_raw():
                    content += piece
                    if len(content) > ANSWER_BYTES_MAX:
                        raise SourceRefusedError(f"{self.words} answers with more than {ANSWER_BYTES_MAX} bytes")
        except httpx.TransportError as error:
            cause = str(error) or type(error).__name__
            raise SourceUnavailableError(f"{self.words} did not answer: {cause}") from error
        try:
            return msgspec.json.decode(content, type=kind)
        except msgspec.DecodeError as error:
            raise SourceRefusedError(f"{self.words} answers what none of MLflow's does: {error}") from error


def _batches(run: TrackedRun) -> Iterator[dict[str, Any]]:
    yield {"params": [{"key": key, "value": value} for key, value in run.params.items()]}
    for begin in range(0, len(run.metrics), METRICS_A_CALL):
        yield {"metrics": [msgspec.to_builtins(each) for each in run.metrics[begin : begin + METRICS_A_CALL]]}
