"""HTTPS of the API by files: what is trusted, what is refused, and a renewed certificate without a restart."""

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Litestar, Request, get

from hotswap_stream.api.server import serve
from hotswap_stream.api.tls import ServerTls, TlsFiles
from hotswap_stream.client.http_calls import client_options
from hotswap_stream.client.trust import trusted_ca
from hotswap_stream.errors import ConfigurationError
from tests.support.kafka.secured_broker import Authority

SECONDS_MAX = 60.0
PASSWORD = "opens-it"  # noqa: S105


@get("/scheme")
async def scheme(request: Request[Any, Any, Any]) -> str:
    return str(request.url.scheme)


@asynccontextmanager
async def served_by(tls: ServerTls) -> AsyncIterator[str]:
    """An application with one route, until the block ends."""
    started: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(
        serve(
            Litestar([scheme]), host="127.0.0.1", port=0, tls=tls, on_started=started.set_result, stop_on_signals=False
        )
    )
    try:
        async with asyncio.timeout(SECONDS_MAX):
            while not started.done():
                assert not serving.done()
                await asyncio.sleep(0.01)
        yield started.result()
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def answered(url: str, ca_file: Path | None) -> httpx.Response:
    options = client_options(url, None, SECONDS_MAX, ca_file=None if ca_file is None else str(ca_file))
    async with httpx.AsyncClient(**options) as client:
        return await client.get("/scheme")


async def shown(url: str) -> str:
    """The certificate that is shown now."""
    address = httpx.URL(url)
    return await asyncio.to_thread(ssl.get_server_certificate, (address.host, address.port or 0))


async def test_who_trusts_the_authority_is_answered_and_renewed_files_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOTSWAP_API_CA_FILE", raising=False)
    authority, stranger = Authority(tmp_path, "authority"), Authority(tmp_path, "stranger")
    certificate, key = authority.issue("api", key_password=PASSWORD)
    tls = ServerTls(TlsFiles(certificate_file=str(certificate), key_file=str(key), key_password=PASSWORD))
    async with served_by(tls) as url:
        assert url.startswith("https://127.0.0.1:")
        assert (await answered(url, authority.file)).text == "https"
        token = trusted_ca.set(str(authority.file))  # as a context of the command line says it
        try:
            assert (await answered(url, None)).text == "https"
        finally:
            trusted_ca.reset(token)
        for ca_file in (None, stranger.file):
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await answered(url, ca_file)
        with pytest.raises(httpx.HTTPError):
            await answered(url.replace("https", "http"), None)
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.load_verify_locations(authority.file)
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(httpx.ConnectError):
            async with httpx.AsyncClient(verify=old, timeout=60) as client:
                await client.get(f"{url}/scheme")
        before = await shown(url)
        # Half of a renewal: the key belongs to no certificate yet, and the former pair stays.
        new_certificate, new_key = authority.issue("renewed", key_password=PASSWORD)
        shutil.copy(new_key, key)
        tls.renew()
        assert await shown(url) == before
        shutil.copy(new_certificate, certificate)
        async with asyncio.timeout(SECONDS_MAX):  # the server looks by itself
            while await shown(url) == before:
                await asyncio.sleep(0.1)
        assert (await answered(url, authority.file)).text == "https"


def test_files_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    certificate, key = authority.issue("api", key_password=PASSWORD)
    other_key = authority.issue("other")[1]
    for files in (
        TlsFiles(certificate_file=str(certificate), key_file=str(key), key_password="wrong"),  # noqa: S106
        TlsFiles(certificate_file=str(certificate), key_file=str(key)),
        TlsFiles(certificate_file=str(certificate), key_file=str(other_key)),
        TlsFiles(certificate_file=str(tmp_path / "none"), key_file=str(key)),
        TlsFiles(certificate_file=str(key), key_file=str(key)),
    ):
        with pytest.raises(ConfigurationError, match="HOTSWAP_API_TLS_KEY_PASSWORD right"):
            ServerTls(files)
    assert PASSWORD not in repr(TlsFiles(certificate_file="c", key_file="k", key_password=PASSWORD))
    with pytest.raises(ConfigurationError, match="HOTSWAP_API_CA_FILE"):
        client_options("https://x", None, 1.0, ca_file=str(tmp_path / "none"))


def test_nobody_is_trusted_where_nothing_is_encrypted() -> None:
    trusted = client_options("http://x", None, 1.0)["verify"]
    assert (trusted.get_ca_certs(), trusted.verify_mode, trusted.check_hostname) == ([], ssl.CERT_REQUIRED, True)
    assert client_options("https://x", None, 1.0)["verify"] is True
