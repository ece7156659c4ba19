"""The one run of a container, or of an orchestrator's machine."""

from hotswap_stream.bootstrap.training.runners import local_places, run_limits
from hotswap_stream.errors import ConfigurationError
from hotswap_stream.settings import Settings


async def do_reported_run(settings: Settings) -> bool:
    """Do the one run that the settings name; return whether it ended well.

    Raises:
        ConfigurationError: A setting is missing or does not fit.
        RunOverError: Nothing of it is taken any more.
        ReportFailedError: The runner cannot be reached, or takes no report.
    """
    from hotswap_stream.adapters.orchestrators.desk_client import DeskClient
    from hotswap_stream.workers.training.reported_run import ReportedRunHere

    if settings.run_url is None or settings.run_key is None:
        raise ConfigurationError("HOTSWAP_RUN_URL and HOTSWAP_RUN_KEY must say which run is to be done")
    places = await local_places(settings)
    async with DeskClient(settings.run_url, settings.run_key) as reports:
        run = ReportedRunHere(reports, places, folder=settings.home / "runs", limits=run_limits(settings))
        return await run.run()
