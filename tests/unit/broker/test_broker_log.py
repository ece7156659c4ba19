"""What is read from the log of a broker that ended."""

from pathlib import Path

import pytest

from hotswap_stream.broker.broker_log import Cause, find_cause, log_tail


def test_tail_is_short_and_without_stack_frames(tmp_path: Path) -> None:
    lines = [f"line {number}" for number in range(1_000)] + ["\tat some.java.Frame(Frame.java:1)", "x" * 5_000, "last"]
    (tmp_path / "broker.0.log").write_text("\n".join(lines))
    (tmp_path / "jvm-output.log").write_text("printed by the JVM\n")
    tail = log_tail(tmp_path).splitlines()
    assert tail[-1] == "printed by the JVM"
    assert tail[-2] == "last"
    assert len(tail) <= 31
    assert max(len(line) for line in tail) == 400
    assert not any("Frame" in line for line in tail)


def test_tail_of_a_broker_that_wrote_nothing_is_empty(tmp_path: Path) -> None:
    assert log_tail(tmp_path) == ""


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("Socket server failed to bind to 127.0.0.1:9092: Address already in use.", Cause.PORT_TAKEN),
        ("java.io.IOException: No space left on device", Cause.DISK_FULL),
        ("org.apache.kafka.common.config.ConfigException: Invalid value x for configuration y", Cause.SETTING_WRONG),
        ("Invalid value x for configuration y", Cause.UNKNOWN),
        ("", Cause.UNKNOWN),
    ],
)
def test_causes_are_recognised(text: str, cause: Cause) -> None:
    assert find_cause(f"some line\n{text}\nsome other") is cause
