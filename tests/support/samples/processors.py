"""What only some processors compute."""

import pytest

from hotswap_stream.adapters.models.openvino import has_bf16


def need_bf16() -> None:
    """Skip the rest of a test where this processor has no instructions for bf16."""
    if not has_bf16():
        pytest.skip("this processor has no instructions for bf16")
