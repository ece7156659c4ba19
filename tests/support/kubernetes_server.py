"""The few routes of Kubernetes' API that a runner of Jobs asks, over real HTTP, with real processes as containers.

No cluster is at hand where the tests run. What is sent here is held against the schemas that Kubernetes publishes, and
so is what is answered; statuses, reasons and conditions are those that its reference documents.
"""

import asyncio
import os
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import IO, Any, Self
from urllib.parse import parse_qs, urlsplit

import kubernetes_validate
import msgspec
from jsonschema import Draft202012Validator

VERSION = "1.32"
TOKEN = "of-the-service-account"  # noqa: S105 - of this server alone
TIME = "2026-01-01T00:00:00Z"
Json = dict[str, Any]


class Container:
    """The process of a Job's only pod."""

    def __init__(self, job: Json, environment: dict[str, str], program: list[str] | None) -> None:
        (container,) = job["spec"]["template"]["spec"]["containers"]
        self.job = job
        self.name = container["name"]
        self.forced: tuple[str, str] | None = None
        self.ended_as: str | None = None
        """The reason that the node gives for the end, where it is another than the process's own."""
        self.output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the container
        variables = {each["name"]: each["value"] for each in container.get("env", ())}
        self.process: subprocess.Popen[bytes] | None = None
        if program is not None:
            command = [*program, *container.get("args", ())]
            self.process = subprocess.Popen(
                command,
                env={**environment, **variables},
                stdout=self.output,
                stderr=self.output,
                start_new_session=True,
            )

    @property
    def exit_code(self) -> int | None:
        return None if self.process is None else self.process.poll()

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def close(self) -> None:
        if self.process is not None:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.output.close()

    def log(self) -> bytes:
        self.output.seek(0)
        return self.output.read()


class KubernetesServer:
    """See above. `program` is what images are here; None: pods that wait for ever."""

    def __init__(self, account: Path, *, program: list[str] | None, environment: dict[str, str]) -> None:
        self.account = account
        self.program = program
        self.environment = environment
        self.containers: dict[str, Container] = {}
        self.deleted: list[str] = []
        self.asked: list[str] = []
        self.refuses: dict[str, int] = {}
        """Method → status of the next answers."""
        self._ended: list[Container] = []
        self._server: asyncio.Server | None = None
        account.mkdir(parents=True, exist_ok=True)
        (account / "token").write_text(f"{TOKEN}\n")
        (account / "namespace").write_text("ml")

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_error: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()
        for container in (*self.containers.values(), *self._ended):
            container.close()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def fail(self, reason: str, message: str) -> None:
        """Have every Job fail."""
        for container in self.containers.values():
            container.forced = (reason, message)

    def kill_for_memory(self) -> None:
        """End every container as a node does whose memory limit was passed."""
        for container in self.containers.values():
            assert container.process is not None
            container.ended_as = "OOMKilled"
            os.killpg(container.process.pid, signal.SIGKILL)
            container.process.wait()

    def forget(self) -> None:
        """Delete every Job, as somebody with kubectl does."""
        for name in tuple(self.containers):
            self._delete(name)

    def _delete(self, name: str) -> None:
        container = self.containers.pop(name)
        container.end()
        self._ended.append(container)
        self.deleted.append(name)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            method, target, _ = head[0].split(" ")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.asked.append(f"{method} {urlsplit(target).path}")
            status, answer = self._answer(method, target, headers, body)
            content = answer if isinstance(answer, bytes) else msgspec.json.encode(answer)
            kind = "text/plain" if isinstance(answer, bytes) else "application/json"
            lines = [f"HTTP/1.1 {status} -", f"content-type: {kind}", f"content-length: {len(content)}"]
            writer.write("\r\n".join([*lines, "connection: close", "", ""]).encode() + content)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # whoever asked has gone
        finally:
            writer.close()

    def _answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, Json | bytes]:
        parts = urlsplit(target)
        jobs, pods = "/apis/batch/v1/namespaces/ml/jobs", "/api/v1/namespaces/ml/pods"
        if headers.get("authorization") != f"Bearer {TOKEN}":
            return _status(401, "Unauthorized", "Unauthorized")
        if method in self.refuses:
            return _status(self.refuses[method], "Forbidden", "jobs.batch is forbidden: quota exceeded")
        name = parts.path.removeprefix(f"{jobs}/")
        match method, parts.path:
            case "POST", path if path == jobs:
                return self._create(msgspec.json.decode(body))
            case "GET", path if path == pods:
                selector = parse_qs(parts.query)["labelSelector"][0].removeprefix("job-name=")
                found = [self._pod(each) for key, each in self.containers.items() if key == selector]
                return 200, {"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": found}
            case "GET", path if path.startswith(f"{pods}/") and path.endswith("/log"):
                container = self.containers[path.removeprefix(f"{pods}/").removesuffix("-abcde/log")]
                assert parse_qs(parts.query)["container"] == [container.name]
                return 200, container.log()
            case "GET", path if path.startswith(f"{jobs}/") and name in self.containers:
                return 200, self._job(self.containers[name])
            case "DELETE", path if path.startswith(f"{jobs}/") and name in self.containers:
                options = msgspec.json.decode(body)
                assert (options["kind"], options["propagationPolicy"]) == ("DeleteOptions", "Background")
                self._delete(name)
                return 200, _status(200, "", "")[1]
        return _status(404, "NotFound", f'jobs.batch "{name}" not found')

    def _create(self, job: Json) -> tuple[int, Json]:
        try:
            kubernetes_validate.validate(job, VERSION, strict=True)
        except kubernetes_validate.ValidationError as error:
            return _status(422, "Invalid", str(error)[:300])
        name = job["metadata"]["name"]
        if name in self.containers:
            return _status(409, "AlreadyExists", f'jobs.batch "{name}" already exists')
        self.containers[name] = Container(job, self.environment, self.program)
        return 201, self._job(self.containers[name])

    def _job(self, container: Container) -> Json:
        status: Json = {"startTime": TIME, "ready": 0, "terminating": 0, "uncountedTerminatedPods": {}}
        code, forced = container.exit_code, container.forced
        if forced is None and code is not None and code != 0:
            forced = ("BackoffLimitExceeded", "Job has reached the specified backoff limit")
        told = {"status": "True", "lastProbeTime": TIME, "lastTransitionTime": TIME}
        if forced is not None:
            status |= {
                "failed": 1,
                "conditions": [{**told, "type": "Failed", "reason": forced[0], "message": forced[1]}],
            }
        elif code == 0:
            status |= {"succeeded": 1, "completionTime": TIME, "conditions": [{**told, "type": "Complete"}]}
        else:
            status |= {"active": 1}
        job = {**container.job, "status": status}
        job["metadata"] = {**job["metadata"], "namespace": "ml", "uid": "u", "creationTimestamp": TIME}
        kubernetes_validate.validate(job, VERSION, strict=True)
        return job

    def _pod(self, container: Container) -> Json:
        code = container.exit_code
        state: Json = {"running": {"startedAt": TIME}}
        if container.process is None:
            state = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}
        elif code is not None:
            reason = container.ended_as or ("Error" if code else "Completed")
            told_code = code if code >= 0 else 128 - code
            state = {"terminated": {"exitCode": told_code, "reason": reason, "finishedAt": TIME}}
        told: Json = {
            "name": container.name,
            "ready": False,
            "restartCount": 0,
            "image": "i",
            "imageID": "",
            "state": state,
        }
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"{container.job['metadata']['name']}-abcde", "namespace": "ml"},
            "spec": container.job["spec"]["template"]["spec"],
            "status": {"phase": "Pending" if container.process is None else "Running", "containerStatuses": [told]},
        }
        kubernetes_validate.validate(pod, VERSION, strict=True)
        return pod


def _status(code: int, reason: str, message: str) -> tuple[int, Json]:
    status = {
        "apiVersion": "v1",
        "kind": "Status",
        "metadata": {},
        "status": "Failure" if code >= 400 else "Success",
        "message": message,
        "reason": reason,
        "code": code,
    }
    _check_status(status)
    return code, status


def _check_status(status: Json) -> None:
    """Hold a Status against its definition, which is in no file of its own as those of objects that are stored."""
    folder = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / f"v{VERSION}.0-local"
    definitions = msgspec.json.decode((folder / "_definitions.json").read_bytes())
    reference = {"$ref": "#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.Status"}
    Draft202012Validator({**definitions, **reference}).validate(status)
