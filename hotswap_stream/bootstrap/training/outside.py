"""Runs that are done elsewhere: who does which, and where they report."""

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from fnmatch import fnmatchcase
from importlib.util import find_spec
from typing import TYPE_CHECKING

from hotswap_stream.application.trainers.commands import parse_trainer_commands
from hotswap_stream.application.trainers.elsewhere import JOBS, WEBHOOKS, parse_trainer_jobs, parse_trainer_webhooks
from hotswap_stream.application.webhooks.webhook import keys_of
from hotswap_stream.bootstrap.webhooks import webhook_poster
from hotswap_stream.errors import ConfigurationError
from hotswap_stream.settings import Settings

if TYPE_CHECKING:
    from hotswap_stream.adapters.orchestrators.desk import Desk
    from hotswap_stream.application.trainers.place import TrainerPlace

SILENT_SECONDS_MIN = 2.0


def taken_names(settings: Settings, names: Iterable[str]) -> list[str]:
    """Return those trainers that this machine's runner takes, in the order of the alphabet."""
    patterns = [each.strip() for each in (settings.trainer_names or "*").split(",")]
    return [name for name in sorted(names) if any(fnmatchcase(name, pattern) for pattern in patterns)]


def outside_trainers(settings: Settings) -> dict[str, str]:
    """Return trainer → what does its runs, of those that this machine gives away.

    Raises:
        ConfigurationError: A setting does not fit.
    """
    by_webhook, by_job = parse_trainer_webhooks(settings.trainer_webhooks), parse_trainer_jobs(settings.trainer_jobs)
    commands = parse_trainer_commands(settings.trainer_commands)
    twice = sorted({*by_webhook} & {*by_job} | ({*by_webhook, *by_job} & {*commands}))
    if twice:
        raise ConfigurationError(f"{WEBHOOKS}, {JOBS}, HOTSWAP_TRAINER_COMMANDS: {twice[0]!r} stands in two of them")
    found = {**dict.fromkeys(by_webhook, "webhook"), **dict.fromkeys(by_job, "Job")}
    return {name: found[name] for name in taken_names(settings, found)}


@asynccontextmanager
async def outside_places(settings: Settings) -> "AsyncIterator[dict[str, TrainerPlace]]":
    """Open trainer → where its runs are done, of those that are given away, and the desk they report to.

    Raises:
        ConfigurationError: A setting does not fit, or the port is taken.
    """
    trainers = outside_trainers(settings)
    if not trainers:
        yield {}
        return
    if find_spec("uvicorn") is None:
        raise ConfigurationError(f"{WEBHOOKS} and {JOBS} need uvicorn: install 'hotswap-stream[api]'")
    if settings.trainer_report_silent_seconds < SILENT_SECONDS_MIN:
        raise ConfigurationError(f"HOTSWAP_TRAINER_REPORT_SILENT_SECONDS must be at least {SILENT_SECONDS_MIN:g}")
    from hotswap_stream.adapters.orchestrators.desk import Desk
    from hotswap_stream.adapters.orchestrators.desk_app import DeskApp
    from hotswap_stream.adapters.orchestrators.desk_server import listen, served

    listener = listen(settings.trainer_report_host, settings.trainer_report_port)
    host, port = settings.trainer_report_host, listener.getsockname()[1]
    url = settings.trainer_report_url or f"http://{f'[{host}]' if ':' in host else host}:{port}"
    desk = Desk(url, settings.trainer_report_silent_seconds)
    async with AsyncExitStack() as stack:
        stack.callback(listener.close)
        places = {
            **await _webhook_places(settings, [n for n, kind in trainers.items() if kind == "webhook"], desk, stack),
            **await _job_places(settings, [n for n, kind in trainers.items() if kind == "Job"], desk, stack),
        }
        await stack.enter_async_context(served(DeskApp(desk), listener))
        yield places


async def _webhook_places(
    settings: Settings, names: list[str], desk: "Desk", stack: AsyncExitStack
) -> "dict[str, TrainerPlace]":
    if not names:
        return {}
    from hotswap_stream.adapters.clock import SystemClock
    from hotswap_stream.adapters.orchestrators.webhook_place import OutsideTrainer, WebhookPlace

    try:
        keys = keys_of(settings.trainer_webhook_secret)
    except ConfigurationError as error:
        raise ConfigurationError(f"HOTSWAP_TRAINER_WEBHOOK_SECRET does not fit: {error}") from None
    if not keys:
        raise ConfigurationError(
            f"{WEBHOOKS} is set and HOTSWAP_TRAINER_WEBHOOK_SECRET is not: what is asked is signed. "
            "`hotswap-stream webhooks secret` prints a fresh one"
        )
    urls = parse_trainer_webhooks(settings.trainer_webhooks)
    poster = await stack.enter_async_context(webhook_poster(settings))
    return {
        name: WebhookPlace(
            OutsideTrainer(name=name, url=urls[name], keys=keys), desk=desk, poster=poster, clock=SystemClock()
        )
        for name in names
    }


async def _job_places(
    settings: Settings, names: list[str], desk: "Desk", stack: AsyncExitStack
) -> "dict[str, TrainerPlace]":
    if not names:
        return {}
    from hotswap_stream.adapters.orchestrators.job_template import namespace_of, read_template
    from hotswap_stream.adapters.orchestrators.kubernetes_api import ClusterAccess, KubernetesApi, KubernetesError
    from hotswap_stream.adapters.orchestrators.kubernetes_place import KubernetesPlace

    files = parse_trainer_jobs(settings.trainer_jobs)
    access = ClusterAccess(url=settings.kubernetes_url, account=settings.kubernetes_account)
    places: dict[str, TrainerPlace] = {}
    for name in names:
        template = read_template(files[name])
        try:
            api = KubernetesApi(access, namespace_of(template, access.account))
        except KubernetesError as error:
            raise ConfigurationError(str(error)) from error
        places[name] = KubernetesPlace(template, api=await stack.enter_async_context(api), desk=desk)
    return places
