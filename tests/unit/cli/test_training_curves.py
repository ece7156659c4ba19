"""Curves of a run's epochs, and parameters, as the command line has them."""

from datetime import UTC, datetime

import pytest
import typer
from msgspec import structs

from hotswap_events.training.progress import EpochFigures, TrainingProgressed
from hotswap_stream.cli.training.curves import BARS, curve, print_curves
from hotswap_stream.cli.training.runs import parse_parameters


def test_a_curve_goes_from_the_lowest_bar_to_the_highest() -> None:
    assert curve([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]) == BARS
    assert curve([2.0]) == BARS[0]
    assert curve([1.0, 1.0, 1.0]) == BARS[0] * 3
    assert len(curve([float(number) for number in range(1_000)])) == 60
    assert curve([3.0, 1.0]) == "█▁"


def test_each_figure_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    progress = TrainingProgressed(
        run_id="r",
        model_name="m",
        trainer="t",
        runner="x",
        at=datetime(2026, 1, 1, tzinfo=UTC),
        phase="ended",
        history=tuple(EpochFigures(epoch=n, figures={"loss": 1 / n, "accuracy": n / 4}) for n in (1, 2, 4)),
    )
    print_curves(progress)
    loss, accuracy, epochs = capsys.readouterr().out.splitlines()
    assert loss.split() == ["loss", "1", "█▃▁", "0.25"]
    assert accuracy.split() == ["accuracy", "0.25", "▁▃█", "1"]
    assert epochs.split() == ["epoch", "1", "4"]
    hostile = EpochFigures(epoch=1, figures={"\x1b[2J\nloss": 1.0})
    print_curves(structs.replace(progress, history=(hostile,)))
    assert "\x1b" not in capsys.readouterr().out
    print_curves(None)
    assert "no epochs" in capsys.readouterr().out


def test_parameters_are_numbers_words_and_texts() -> None:
    found = parse_parameters(["a=1", "b=0.5", "c=true", "d=null", "e=word", 'f="1"', "g=a=b"])
    assert found == {"a": 1, "b": 0.5, "c": True, "d": None, "e": "word", "f": "1", "g": "a=b"}
    for wrong in ("a", "=1", "a=[1]", 'a={"b": 1}'):
        with pytest.raises(typer.BadParameter):
            parse_parameters([wrong])
