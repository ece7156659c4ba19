"""`hotswap-stream keys` on the cluster and over the API, and the first key that `up` makes."""

import asyncio
import re
import shlex

import httpx
import pytest
import structlog
from msgspec.structs import replace

from hotswap_stream import bootstrap
from hotswap_stream.settings import load_settings
from tests.support.checkout import ROOT
from tests.support.stages.asking import running_api
from tests.support.stages.command_line import Cli, read_json


@pytest.mark.timeout(180)
async def test_the_first_key_opens_the_api_and_makes_the_others(cli: Cli, variables: dict[str, str]) -> None:
    settings = replace(load_settings(variables), api_port=0)
    first = await bootstrap.first_key(settings, "ada")
    assert first is not None
    assert await bootstrap.first_key(settings, "ada") is None, "there is one"
    assert await bootstrap.first_key(replace(settings, api_open="loopback"), "ada") is None, "none is needed"

    made = read_json(
        await asyncio.to_thread(cli, "keys", "create", "ci", "--scope", "operate", "--model", "dig*", "--json")
    )
    async with running_api(settings) as url:
        remote = {"HOTSWAP_API_URL": url, "HOTSWAP_API_KEY": first.token}

        async def asked(*arguments: str, code: int = 0) -> str:
            result = await asyncio.to_thread(cli, "keys", *arguments, code=code, **remote)
            structlog.reset_defaults()  # the API logs in this process, too
            assert first.token not in result.output
            return result.output

        # The guide's own commands, on a key of the same kind.
        guide = (ROOT / "docs" / "guides" / "rotate-keys.md").read_text(encoding="utf-8")
        await asked("create", "guided", "--scope", "read")
        said = {
            shown: await asked(*shlex.split(shown.replace(" ci ", " guided ")))
            for shown in re.findall(r"^    hotswap-stream keys (.+)$", guide, re.MULTILINE)
        }
        assert [shown.split()[0] for shown in said] == ["list", "rotate", "rotate", "revoke"]
        assert len({word for text in said.values() for word in text.split() if word.startswith("hss_")}) == 2
        assert "revoked" in await asked("show", "guided")

        assert "ci" in await asked("list")
        assert made["token"] not in await asked("show", "ci")
        shown_once = await asked("rotate", "ci", "--old-valid", "10m")
        token = next(word for word in shown_once.split() if word.startswith("hss_"))
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:

            async def status(key: str) -> int:
                return (await client.get("/api/models/digits", headers={"X-API-Key": key})).status_code

            assert [await status(key) for key in (made["token"], token, "")] == [404, 404, 401]
            # On the cluster it is the same key, and servers hear of it.
            await asyncio.to_thread(cli, "keys", "revoke", "ci", "--reason", "lost")
            structlog.reset_defaults()
            async with asyncio.timeout(60):
                while await status(token) != 401:
                    await asyncio.sleep(0.05)
        assert "revoked" in await asked("show", made["key_id"])
        assert "there is no key" in await asked("revoke", "nobody", code=3)
