"""What is installed here, by a process that imports it all: what does not import, or does not end, harms nobody."""

import asyncio
import sys
from collections.abc import Sequence

import msgspec
import structlog

from hotswap_events.inference.fleet import FleetPlugin
from hotswap_stream.adapters.plugins.probe_process import ProbeConflict, ProbeFound, ProbeLine
from hotswap_stream.application.plugins.declared import declared_plugins
from hotswap_stream.application.plugins.names import PluginConflictError

COMMAND = (sys.executable, "-m", "hotswap_stream.adapters.plugins.probe_process")
SECONDS_MAX = 60.0
LINE_BYTES_MAX = 4 * 1024 * 1024

_LINES: "msgspec.json.Decoder[ProbeLine]" = msgspec.json.Decoder(ProbeLine)
_log = structlog.get_logger(__name__)


async def probe_plugins(modules: Sequence[str], seconds_max: float = SECONDS_MAX) -> tuple[FleetPlugin, ...]:
    """Return all plug-ins with what is wrong with them. See `probe`."""
    return (await probe(modules, seconds_max)).plugins


async def probe(modules: Sequence[str], seconds_max: float = SECONDS_MAX) -> ProbeFound:
    """Return all plug-ins with what is wrong with them, each problem logged, and the parameters of trainers.

    Args:
        modules: Those that the operator named.
        seconds_max: For importing them all; what is not imported by then is taken for broken.

    Raises:
        PluginConflictError: Two have one name.
    """
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *modules, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=LINE_BYTES_MAX
    )
    assert process.stdout is not None  # noqa: S101 - pipes were asked for
    assert process.stdin is not None  # noqa: S101
    reason = f"importing all plug-ins took more than {seconds_max:g} s"
    line = b""
    try:
        async with asyncio.timeout(seconds_max):
            line = await process.stdout.readline()
            if not line:
                reason = f"the process that imports all plug-ins ended with exit code {await process.wait()}"
    except (TimeoutError, ValueError):
        pass
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        process.stdin.close()
    found = _read(line) if line else ProbeFound(_all_broken(modules, reason))
    for plugin in found.plugins:
        if plugin.error is not None:
            _log.warning("plugin_broken", kind=plugin.kind, name=plugin.name, reason=plugin.error)
    return found


def _read(line: bytes) -> ProbeFound:
    found = _LINES.decode(line)
    if isinstance(found, ProbeConflict):
        raise PluginConflictError(found.reason)
    return found


def _all_broken(modules: Sequence[str], reason: str) -> tuple[FleetPlugin, ...]:
    declared = [
        FleetPlugin(
            kind=plugin.kind,
            name=plugin.name,
            package=None if plugin.package is None else plugin.package.name,
            version=None if plugin.package is None else plugin.package.version,
            error=reason,
        )
        for plugin in declared_plugins().values()
    ]
    return (*declared, *(FleetPlugin(kind="module", name=module, error=reason) for module in modules))
