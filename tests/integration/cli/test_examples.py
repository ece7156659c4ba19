"""The examples do what they say, on the real broker with a real worker."""

from pathlib import Path

import pytest

from examples.ask_a_model import a_handwritten_one, ask
from hotswap_stream import bootstrap
from tests.support.stages.serving import MODEL, open_stage, stage_settings


@pytest.mark.parametrize("refused", [False, True])
async def test_a_model_is_asked_with_a_kafka_client_alone(
    kafka: str, topic_prefix: str, tmp_path: Path, refused: bool
) -> None:
    settings = stage_settings(kafka, topic_prefix, tmp_path)
    inputs = [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1.0, 2.0, 3.0, 4.0]}]
    async with open_stage(settings) as stage:
        promoted = await stage.switch(await stage.register_answering(7.0))
        worker = await bootstrap.build_worker(settings, "w1")
        await worker.start()
        try:
            answer = await ask(kafka, MODEL, a_handwritten_one() if refused else inputs, prefix=topic_prefix)
        finally:
            await worker.stop()
    if refused:
        assert answer["error_code"] == "wrong-input"
        return
    assert answer["outputs"][0]["data"] == [7.0, 7.0]
    assert answer["model_version"] == "v1"
    assert answer["parameters"]["registry_offset"] == promoted.offset
