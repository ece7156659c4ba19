"""Answers filled into a template have the bytes that the encoder writes."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotswap_events.inference import AnswerFacts, InferResponse, InferTensor
from hotswap_stream.workers.inference.answers.template import SMALL_BYTES_MIN, AnswerTemplate

MARKS = (0xF1, 0xF2, 0xF3)
"""The last bytes of the numbers that stand for those that differ."""
integers = st.integers(0, 2**63 - 1) | st.sampled_from([0xFFFF_FF00 + last for last in MARKS])
names = st.text(max_size=40)
facts = st.builds(
    AnswerFacts,
    request_partition=integers,
    request_offset=integers,
    worker=names,
    artifact_digest=st.none() | names,
    registry_offset=st.none() | integers,
    fallback_for=st.none() | names,
    pinned=st.booleans(),
    batch_size=st.none() | integers,
    padded_batch_size=st.none() | integers,
    executor=st.none() | names,
    compute_ms=st.none() | st.floats(allow_nan=False),
)


@given(
    model_name=names,
    model_version=names,
    facts=facts,
    output=st.builds(
        InferTensor,
        name=names,
        shape=st.lists(integers, max_size=4),
        datatype=st.sampled_from(["FP32", "INT8"]),
        data=st.just(b""),
    ),
    output_bytes=st.integers(SMALL_BYTES_MIN, 70_000) | st.sampled_from([255, 256, 65_535, 65_536]),
    fillings=st.lists(
        st.tuples(st.integers(0, 255), integers, integers, integers, st.none() | st.text(max_size=300)),
        min_size=1,
        max_size=4,
    ),
)
def test_a_filled_template_is_what_the_encoder_writes(
    model_name: str,
    model_version: str,
    facts: AnswerFacts,
    output: InferTensor,
    output_bytes: int,
    fillings: list[tuple[int, int, int, int, str | None]],
) -> None:
    try:
        template = AnswerTemplate(model_name, model_version, output, output_bytes, facts)
    except ValueError:  # the caller writes each answer by itself then; the marks are in what all of them have alike
        alike = msgspec.structs.replace(facts, request_partition=0, request_offset=0)
        parts = (model_name, model_version, output, alike)
        assert any(bytes([0xCE, 0xFF, 0xFF, 0xFF, last]) in msgspec.msgpack.encode(parts) for last in MARKS)
        return
    for byte, partition, offset, queue_ms, request_id in fillings:
        data = bytes([byte]) * output_bytes
        expected = msgspec.msgpack.encode(
            InferResponse(
                model_name=model_name,
                model_version=model_version,
                outputs=[msgspec.structs.replace(output, data=data)],
                parameters=msgspec.structs.replace(
                    facts, request_partition=partition, request_offset=offset, queue_ms=queue_ms
                ),
                id=request_id,
            )
        )
        assert template.fill(data, partition, offset, queue_ms, request_id) == expected


def test_a_small_output_has_no_template() -> None:
    tensor = InferTensor(name="y", shape=[1], datatype="FP32", data=b"")
    with pytest.raises(ValueError, match="too small"):
        AnswerTemplate("m", "v1", tensor, 4, AnswerFacts(request_partition=0, request_offset=0, worker="w"))
