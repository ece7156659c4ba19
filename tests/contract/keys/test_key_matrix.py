"""Every route of the application, asked with every kind of key: from its own route table, so that none is forgotten."""

import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, get_args

import httpx
import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute
from msgspec import Struct

from hotswap_events.keys import Scope
from hotswap_stream.adapters.clock import SystemClock
from hotswap_stream.adapters.memory.key_log import MemoryKeyLog
from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from hotswap_stream.application.keys.changes import KeyOrder
from hotswap_stream.application.keys.office import LogOffice
from tests.support.stages.http import served, services_on, started_registry
from tests.support.stages.reused_apps import reused_app

MODEL = "digits"

# What is not as its method says: everything else needs `read` for GET and `operate` for the other methods.
PUBLIC = {
    "GET /livez",
    "GET /readyz",
    "GET /api/health/live",
    "GET /api/health/ready",
    "GET /metrics",
    "GET /v2/health/live",
    "GET /v2/health/ready",
    "POST /api/mlflow/webhooks",  # signed
    "GET /",
    "GET /assets/{name}",
    "GET /api/session",
    "POST /api/session",
    "DELETE /api/session",
}
INFER = {
    "POST /api/predict",
    "POST /api/models/{model_name}/feedback",
    "POST /v2/models/{model_name}/infer",
    "POST /v2/models/{model_name}/versions/{model_version}/infer",
}
READ_BY_POST = {
    "POST /api/2.0/mlflow/registered-models/get-latest-versions",
    "POST /api/models/{model_name}/rollout/backtest",
    "POST /api/models/{model_name}/training-policy/backtest",
}
OPERATE_BY_GET = {"GET /api/uploads/{upload_id}"}
ADMIN = ("/api/keys", "/api/models/{model_name}/cleanup")
ADMIN_BY_WRITE = {"PUT /api/webhooks/{name}", "POST /api/webhooks/{name}/remove", "POST /api/log/acknowledge"}
"""Where events of the environment are sent, and what is said of the log itself."""
ABOUT_NO_MODEL = {
    "GET /v2",
    "GET /api/overview",
    "GET /api/live",
    "POST /api/artifacts",
    "POST /api/artifacts/from-uploads",
    "POST /api/predict",
}
"""And uploads: open to keys that are limited to models, whichever."""

Kind = Literal[
    "none", "unknown", "expired", "revoked", "read", "infer", "operate", "admin", "the model's", "another model's"
]
SESSION_KINDS: tuple[Kind, ...] = ("revoked", "read", "infer", "operate", "admin", "the model's", "another model's")
Asker = tuple[Kind, Literal["by key", "by session", "by another page's session"]]


class Route(Struct, frozen=True):
    """A method and a path of the application."""

    method: str
    path: str

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def opened_by(self) -> frozenset[str]:
        """The scopes that open it; empty: everybody."""
        if self.name in PUBLIC:
            return frozenset()
        if self.path.startswith(ADMIN) or self.name in ADMIN_BY_WRITE:
            return frozenset({"admin"})
        if self.name in INFER:
            return frozenset({"infer", "admin"})
        if self.path.startswith("/v2"):
            return frozenset({"read", "infer", "operate", "admin"})
        reads = self.method in ("GET", "OPTIONS", "HEAD") or self.name in READ_BY_POST
        if reads and self.name not in OPERATE_BY_GET:
            return frozenset({"read", "operate", "admin"})
        return frozenset({"operate", "admin"})

    @property
    def about_no_model(self) -> bool:
        return self.name in ABOUT_NO_MODEL or self.path.startswith("/api/uploads")

    @property
    def url(self) -> str:
        path = self.path.replace("{model_name}", MODEL)
        return re.sub(r"\{[a-z_]+\}", "x", re.sub(r"\{[a-z_]+_number\}", "1", path))


def routes_of(app: Litestar) -> Iterator[Route]:
    for route in app.routes:
        assert isinstance(route, HTTPRoute), f"no rule for {route!r}"
        for method in route.methods:
            if method != "OPTIONS":  # answered by the framework with the methods there are
                path = re.sub(r"\{([a-z_]+):int\}", r"{\1_number}", route.path)
                yield Route(method, re.sub(r"\{([a-z_]+):[a-z]+\}", r"{\1}", path))


async def keys_of_all_kinds(log: MemoryKeyLog) -> dict[Kind, str | None]:
    """All but the revoked one, which `revoke` makes of `r`."""
    past = LogOffice(log, "test", lambda: datetime.now(UTC) - timedelta(hours=1))
    now = LogOffice(log, "test", lambda: datetime.now(UTC))
    found: dict[Kind, str | None] = {"none": None}
    found["expired"] = (await past.create(KeyOrder(name="e", scopes=("admin",), valid_seconds=60))).token
    found["revoked"] = (await now.create(KeyOrder(name="r", scopes=("admin",)))).token
    for scope in get_args(Scope):
        found[scope] = (await now.create(KeyOrder(name=f"k-{scope}", scopes=(scope,)))).token
    found["unknown"] = f"{str(found['admin'])[:-64]}{'0' * 64}"
    of_models: tuple[tuple[Kind, str], ...] = (("the model's", "dig*"), ("another model's", "fraud"))
    for kind, model in of_models:
        order = KeyOrder(name=f"m-{model[:3]}", scopes=("operate", "infer"), models=(model,))
        found[kind] = (await now.create(order)).token
    return found


async def cookie_of(client: httpx.AsyncClient, token: str | None) -> str:
    """The cookie of a session that this key begins."""
    answer = await client.post("/api/session", json={"key": token})
    assert answer.status_code == 201, answer.text
    client.cookies.clear()
    return answer.headers["set-cookie"].partition(";")[0]


async def askers(client: httpx.AsyncClient, log: MemoryKeyLog) -> dict[Asker, dict[str, str]]:
    """The headers of each asker: with a key, with the cookie of a session, and with a cookie alone."""
    tokens = await keys_of_all_kinds(log)
    found: dict[Asker, dict[str, str]] = {}
    for kind, token in tokens.items():
        found[kind, "by key"] = {} if token is None else {"X-API-Key": token}
    for kind in SESSION_KINDS:
        found[kind, "by session"] = {
            "Cookie": await cookie_of(client, tokens[kind]),
            "Sec-Fetch-Site": "same-origin",
        }
    admins = found["admin", "by session"]["Cookie"]
    found["admin", "by another page's session"] = {"Cookie": admins}
    found["unknown", "by session"] = {"Cookie": f"{admins[:-5]}AAAAA", "Sec-Fetch-Site": "same-origin"}
    # Last: what had begun with the key must end with it.
    await LogOffice(log, "test", lambda: datetime.now(UTC)).revoke("r", None)
    return found


def expected(route: Route, asker: Asker) -> int | None:
    """The status of a refusal; None: it is let in."""
    kind, how = asker
    if route.name == "DELETE /api/session":
        return 403 if how == "by another page's session" else None
    if not route.opened_by:
        return None
    if how == "by another page's session" and route.method != "GET":
        return 403
    match kind:
        case "none" | "unknown" | "expired" | "revoked":
            return 401
        case "the model's" | "another model's":
            if route.opened_by.isdisjoint({"read", "operate", "infer"}):
                return 403
            named = "{model_name}" in route.path and kind == "the model's"
            return None if named or (route.about_no_model and route.name != "POST /api/predict") else 403
        case scope:
            return None if scope in route.opened_by else 403


async def statuses(
    client: httpx.AsyncClient, route: Route, all_askers: dict[Asker, dict[str, str]]
) -> dict[Asker, int]:
    found: dict[Asker, int] = {}
    # Where a body names the model, it names none of those the keys are for.
    body: dict[str, object] = {"data": [1.0], "model_name": "others"} if route.url == "/api/predict" else {}
    content = None if route.method in ("GET", "HEAD") else body
    for asker, headers in all_askers.items():
        async with client.stream(route.method, route.url, json=content, headers=headers) as answer:
            found[asker] = answer.status_code
    return found


def signing_out_last(route: Route) -> bool:
    return route.name == "DELETE /api/session"


@pytest.fixture
async def asked(tmp_path: Path) -> AsyncIterator[dict[Route, dict[Asker, int]]]:
    """Route → who asks → status."""
    keys = MemoryKeyLog()
    async with started_registry(MemoryRegistryLog(MemoryRegistry(SystemClock()))) as registry:
        with reused_app(services_on(registry, tmp_path, keys=keys)) as app:
            async with served(app) as url, httpx.AsyncClient(base_url=url, timeout=60) as client:
                everybody = await askers(client, keys)
                routes = sorted(routes_of(app), key=signing_out_last)
                yield {route: await statuses(client, route, everybody) for route in routes}


@pytest.mark.slow
async def test_every_route_is_opened_by_what_it_needs_and_nothing_else(
    asked: dict[Route, dict[Asker, int]],
) -> None:
    assert len(asked) > 90
    names = {route.name for route in asked}
    assert names >= PUBLIC | INFER | READ_BY_POST | OPERATE_BY_GET | ABOUT_NO_MODEL, "a route has another name now"
    wrong = [
        f"{route.name} with {asker}: {status}, {expected(route, asker) or 'let in'} was expected"
        for route, by_asker in asked.items()
        for asker, status in by_asker.items()
        if (status if status in (401, 403) else None) != expected(route, asker)
    ]
    # What is signed instead is refused for want of a signature, whoever asks.
    assert [line for line in wrong if not line.startswith("POST /api/mlflow/webhooks")] == []
