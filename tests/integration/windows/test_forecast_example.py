"""The forecaster of the example: trained in seconds, served step by step, better than the two naive forecasts."""

from pathlib import Path

import numpy as np
from msgspec.structs import replace

from examples.forecast import AHEAD, PERIOD, artifact, ask, make_series, train
from hotswap_stream import bootstrap
from tests.support.stages.serving import MODEL, open_stage, stage_settings


async def test_a_trained_forecaster_served_from_windows_beats_the_naive_forecasts(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = replace(stage_settings(kafka, topic_prefix, tmp_path), executor="eager")
    series = make_series(4, PERIOD + 8 + AHEAD, seed=99)
    known, wanted = series[:, :-AHEAD], series[:, -AHEAD:]
    async with open_stage(settings) as stage:
        await stage.switch(await stage.register(await stage.store.put_artifact(artifact(train(300)))))
        worker = await bootstrap.build_worker(settings, "w1")
        await worker.start()
        try:
            found = [
                await ask(kafka, MODEL, each, key=f"machine-{number}", prefix=topic_prefix)
                for number, each in enumerate(known)
            ]
        finally:
            await worker.stop()
    off = np.abs(np.array(found) - wanted).mean()
    assert off < 0.8 * np.abs(known[:, -PERIOD : AHEAD - PERIOD] - wanted).mean(), "the day before"
    assert off < 0.5 * np.abs(known[:, -1:] - wanted).mean(), "the last value"
