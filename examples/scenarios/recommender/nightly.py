"""The trainer of the films: HOTSWAP_PLUGIN_MODULES names this module, so every runner of the machine has it."""

from typing import Annotated

import msgspec
import torch

from examples.scenarios.recommender.taste import Taste, fitted
from hotswap_stream.plugins import Trained, TrainingJob, trainer


class Parameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the factorization takes."""

    factors: Annotated[int, msgspec.Meta(ge=1, le=128)] = 16
    turns: Annotated[int, msgspec.Meta(ge=1, le=50)] = 8
    each: Annotated[int, msgspec.Meta(ge=1, le=100)] = 16
    """Choices of each user."""


@trainer("films-als", Parameters)
def train(job: TrainingJob, parameters: Parameters) -> Trained:
    """Fit tables to what users have chosen."""
    model = fitted(Taste().choices(parameters.each), factors=parameters.factors, turns=parameters.turns)
    job.progress(1, 1, epoch=1, epochs=1)
    return Trained(
        model=model,
        example=torch.arange(64).reshape(-1, 1),
        metrics={"factors": float(parameters.factors)},
        data_snapshot=f"{parameters.each} seeded choices of each user",
    )
