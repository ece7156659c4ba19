"""Answers filled into a template have the bytes that the encoder writes."""

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hotswap_events.inference.messages import AnswerFacts, InferResponse, InferTensor
from hotswap_stream.workers.inference.answers.json_template import JsonAnswerTemplate
from hotswap_stream.workers.inference.answers.template import AnswerTemplate
from hotswap_stream.workers.inference.requests.tensors import Array

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


tensors = st.builds(
    InferTensor,
    name=names,
    shape=st.lists(integers, max_size=4),
    datatype=st.sampled_from(["FP32", "INT8"]),
    data=st.just(b""),
)
sizes = st.integers(0, 70_000) | st.sampled_from([0, 1, 4, 8, 255, 256, 65_535, 65_536])


@given(
    model_name=names,
    model_version=names,
    facts=facts,
    outputs=st.lists(st.tuples(tensors, sizes), min_size=1, max_size=3),
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
    outputs: list[tuple[InferTensor, int]],
    fillings: list[tuple[int, int, int, int, str | None]],
) -> None:
    bare = [tensor for tensor, _ in outputs]
    try:
        template = AnswerTemplate(model_name, model_version, bare, [size for _, size in outputs], facts)
    except ValueError:  # the caller writes each answer by itself then; the marks are in what all of them have alike
        alike = msgspec.structs.replace(facts, request_partition=0, request_offset=0)
        assert any(bytes([0xCE, 0xFF, 0xFF, 0xFF, last]) in msgspec.msgpack.encode(alike) for last in MARKS)
        return
    # The last bytes that an output has tell its answer, and it from its neighbours.
    content = [
        [bytes([(byte + place) % 256]) * size for byte, *_ in fillings] for place, (_, size) in enumerate(outputs)
    ]
    data, each = template.data_of([b"".join(of_output) for of_output in content], len(fillings))
    for number, (_, partition, offset, queue_ms, request_id) in enumerate(fillings):
        expected = msgspec.msgpack.encode(
            InferResponse(
                model_name=model_name,
                model_version=model_version,
                outputs=[
                    msgspec.structs.replace(tensor, data=of_output[number])
                    for tensor, of_output in zip(bare, content, strict=True)
                ],
                parameters=msgspec.structs.replace(
                    facts, request_partition=partition, request_offset=offset, queue_ms=queue_ms
                ),
                id=request_id,
            )
        )
        filled = template.fill(data[number * each : (number + 1) * each], partition, offset, queue_ms, request_id)
        assert filled == expected


columns = st.one_of(
    [
        arrays.arrays(dtype, st.tuples(st.just(9), st.integers(0, 3), st.integers(1, 2)))
        for dtype in (np.float32, np.float64, np.int64, np.uint8, np.bool_)
    ]
)


@given(
    model_name=names,
    model_version=names,
    facts=facts,
    outputs=st.lists(st.tuples(tensors, columns), min_size=1, max_size=3),
    fillings=st.lists(
        st.tuples(integers, integers, integers, st.none() | st.text(max_size=40)), min_size=1, max_size=9
    ),
)
def test_a_filled_json_template_is_what_the_encoder_writes(
    model_name: str,
    model_version: str,
    facts: AnswerFacts,
    outputs: list[tuple[InferTensor, Array]],
    fillings: list[tuple[int, int, int, str | None]],
) -> None:
    template = JsonAnswerTemplate(model_name, model_version, [tensor for tensor, _ in outputs], facts)
    data = template.data_of([array for _, array in outputs], len(fillings))
    for number, (partition, offset, queue_ms, request_id) in enumerate(fillings):
        expected = msgspec.json.encode(
            InferResponse(
                model_name=model_name,
                model_version=model_version,
                outputs=[
                    msgspec.structs.replace(tensor, data=array[number].ravel().tolist()) for tensor, array in outputs
                ],
                parameters=msgspec.structs.replace(
                    facts, request_partition=partition, request_offset=offset, queue_ms=queue_ms
                ),
                id=request_id,
            )
        )
        assert template.fill(data[number], partition, offset, queue_ms, request_id) == expected
