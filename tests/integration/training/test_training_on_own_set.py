"""A model of digits that chose a set of its own: a training run's verdict is drawn on that one from then on."""

from pathlib import Path

import numpy as np

from hotswap_stream.adapters.torch.data.digits import load_digits_split
from tests.support.stages.command_line import Cli, read_json


def test_training_is_judged_on_the_set_that_was_chosen(cli: Cli, tmp_path: Path) -> None:
    split = load_digits_split()
    cli("train", "digits", "--architecture", "ffnn-784-32-32-32-10", "--epochs", "8")
    np.savez(
        tmp_path / "own.npz", images=split.held_out.images.flatten(1).numpy(), labels=split.held_out.labels.numpy()
    )
    cli("validation-set", "choose", "digits", str(tmp_path / "own.npz"))
    chosen = read_json(cli("validation-set", "show", "digits", "--json"))["validation_set"]
    assert (chosen["kind"], chosen["rows"]) == ("classification", len(split.held_out))

    told = cli("train", "digits", "--architecture", "ffnn-784-32-32-32-10", "--epochs", "8").output
    assert f"on {chosen['rows']} rows of the model's validation set" in told
    v1, v2 = sorted(read_json(cli("versions", "digits", "--json")), key=lambda version: str(version["model_version"]))
    assert v1["validation"]["validation_set"] == split.validation.digest()
    assert v2["validation"]["validation_set"] == chosen["artifact_digest"]
    assert v2["validation"]["figures"]["accuracy"] > 0.9
    # The same seed gave the same weights, so the active version on these rows is right as often.
    assert v2["validation"]["baseline_figures"]["accuracy"] == v2["validation"]["figures"]["accuracy"]
    assert v2["validation"]["figures"]["agreement"] == 1.0
