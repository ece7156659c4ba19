"""One training run from data to artifact file, in the process it was given."""

from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import torch

from hotswap_stream.adapters.torch.data.digits import load_digits_split
from hotswap_stream.adapters.torch.data.files import load_data_file
from hotswap_stream.adapters.torch.data.labeled_images import IMAGE_SHAPE
from hotswap_stream.adapters.torch.modules.architectures import CLASSES, build_module, manifest_of
from hotswap_stream.adapters.torch.modules.loading import load_module
from hotswap_stream.adapters.torch.modules.saving import save_module
from hotswap_stream.adapters.torch.modules.threads import limit_threads
from hotswap_stream.adapters.torch.training.evaluate import evaluate
from hotswap_stream.adapters.torch.training.fit import FitOptions, FitProgress, fit
from hotswap_stream.adapters.torch.training.profiling import profile_of
from hotswap_stream.adapters.torch.training.provenance import code_revision, environment
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.training.runs import TrainingFinished, TrainingOrder, TrainingProgress
from hotswap_stream.errors import HotswapError

_WAY_OUT = (
    "a model of anything else is measured on a validation set of its own (`hotswap-stream validation-set choose`)"
)


class NotAClassifierError(HotswapError):
    """The architecture does not take the digits' images, or does not return ten scores."""


def item_shape_of(manifest: ArtifactManifest) -> tuple[int, ...]:
    """Return the shape that one image must have for this architecture. NotAClassifierError if no shape would do."""
    spec = manifest.inputs[0]
    item, scores = spec.shape[1:], manifest.outputs[0].shape
    pixels = torch.Size(IMAGE_SHAPE).numel()
    if len(manifest.inputs) != 1 or spec.datatype != "FP32" or -1 in item or torch.Size(item).numel() != pixels:
        raise NotAClassifierError(
            f"architecture {manifest.architecture!r} takes {[list(one.shape) for one in manifest.inputs]}; "
            f"one FP32 input of {pixels} numbers an item is needed for the digits; {_WAY_OUT}"
        )
    if len(manifest.outputs) != 1 or scores != (-1, CLASSES):
        raise NotAClassifierError(
            f"architecture {manifest.architecture!r} answers {[list(one.shape) for one in manifest.outputs]}; "
            f"one output of shape [-1, {CLASSES}] is needed for the digits; {_WAY_OUT}"
        )
    return item


def run_training(order: TrainingOrder, on_progress: Callable[[TrainingProgress], None]) -> TrainingFinished:
    """Train, check that the artifact loads and warms up, measure it, write it. It sets this process's torch threads.

    Raises:
        DataFileError: The data cannot be read.
        TrainingDivergedError: The loss is no longer a number.
        OSError: The artifact cannot be written; also the errors of the architectures and of loading.
    """
    spec = order.spec
    limit_threads(spec.threads)
    torch.manual_seed(spec.seed)
    torch.use_deterministic_algorithms(True)
    manifest = manifest_of(spec.architecture, spec.arguments)
    item_shape = item_shape_of(manifest)
    split = load_digits_split()
    data = split.train if spec.data_file is None else load_data_file(Path(spec.data_file))
    module = build_module(spec.architecture, spec.arguments)

    def report(progress: FitProgress) -> None:
        on_progress(
            TrainingProgress(
                run_id=spec.run_id,
                epoch=progress.epoch,
                epochs=spec.epochs,
                step=progress.step,
                steps=progress.steps,
                loss=progress.loss,
                accuracy=progress.accuracy,
            )
        )

    began = perf_counter()
    options = FitOptions(
        epochs=spec.epochs, batch_size=spec.batch_size, learning_rate=spec.learning_rate, seed=spec.seed
    )
    last = fit(module, data, options, report, item_shape)
    seconds = perf_counter() - began
    content = save_module(module, manifest)
    # Measured is what was saved, loaded as a worker will load it.
    loaded = load_module(manifest, content)
    evaluation = evaluate(loaded, split.validation, item_shape)
    where = "the bundled digits' training part" if spec.data_file is None else Path(spec.data_file).name
    digest = data.digest()
    images = data.images.reshape(-1, *item_shape).numpy()
    Path(order.artifact_file).write_bytes(content)
    return TrainingFinished(
        metrics={
            **evaluation.figures(),
            "train_loss": last.loss,
            "train_accuracy": last.accuracy,
            "train_seconds": seconds,
        },
        validation_set=evaluation.validation_set,
        data_snapshot=digest,
        code_revision=code_revision(),
        environment=environment(),
        profile=profile_of(loaded, manifest, [images], source=f"{where[:400]}, {digest}", where=where),
    )
