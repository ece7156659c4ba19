"""Which progress of training runs is told: of runs that the log knows, by the runner that has them."""

from hotswap_events.training.progress import TrainingProgressed
from hotswap_stream.api.runtime import ApiRuntime
from hotswap_stream.application.registry.fold import Stream
from hotswap_stream.application.registry.queries import Streams


def is_of_a_run(stream: Stream | None, progress: TrainingProgressed) -> bool:
    """Return whether the log knows of the run: whoever writes to the topic makes none up."""
    run = None if stream is None else stream.state.runs.get(progress.run_id)
    return run is not None and run.runner == progress.runner


def training_now(runtime: ApiRuntime, streams: Streams) -> tuple[TrainingProgressed, ...]:
    """Return how far the runs of these models are that have a runner and go on."""
    heard = runtime.services.training_progress
    if heard is None:
        return ()
    found = (
        heard.fold.of(run.run_id, name, run.runner)
        for name, stream in streams.items()
        for run in stream.state.runs.values()
        if run.runner is not None and run.is_open
    )
    return tuple(progress for progress in found if progress is not None)
