"""`image-classifier`: a convolutional network on images of any shape and any number of classes."""

import json

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from hotswap_stream.adapters.torch.data.digits import load_digits_split
from hotswap_stream.adapters.torch.modules.architectures import build_module, manifest_of
from hotswap_stream.adapters.torch.modules.loading import load_module
from hotswap_stream.adapters.torch.modules.saving import save_module
from hotswap_stream.adapters.torch.modules.threads import limit_threads
from hotswap_stream.adapters.torch.training.profiling import profile_of
from hotswap_stream.adapters.torch.training.provenance import environment
from hotswap_stream.adapters.trainers.data import Array, classes_of, numbers, read_arrays, rows_of
from hotswap_stream.adapters.trainers.fitting import Fitting, held_out_rows
from hotswap_stream.application.trainers.built_in import ImageClassifier
from hotswap_stream.application.trainers.job import Trained, TrainingDataError, TrainingJob

ARCHITECTURE = "image-classifier"
IMAGE_DIMENSIONS = 4
BATCH_ROWS = 256


def train(job: TrainingJob, parameters: ImageClassifier) -> Trained:
    """Train, measure on the rows held out, and write the confusion matrix beside the artifact."""
    limit_threads(job.threads)
    torch.manual_seed(parameters.seed)
    torch.use_deterministic_algorithms(True)
    images, labels, classes, source = _data(job)
    channels, height, width = images.shape[1:]
    arguments = {
        "channels": channels,
        "height": height,
        "width": width,
        "classes": len(classes),
        "filters": parameters.width,
        "hidden": parameters.hidden,
    }
    manifest = manifest_of(ARCHITECTURE, arguments)
    module = build_module(ARCHITECTURE, arguments)
    kept, tried = held_out_rows(len(labels), parameters.held_out, parameters.seed)
    fitting = Fitting(
        module,
        epochs=parameters.epochs,
        batch_size=parameters.batch_size,
        learning_rate=parameters.learning_rate,
        seed=parameters.seed,
        loss=functional.cross_entropy,
    )
    inputs, truths = torch.from_numpy(images), torch.from_numpy(labels)
    last = fitting.fit(job, inputs[kept], truths[kept], lambda: _accuracy(module, inputs[tried], truths[tried]))
    content = save_module(module, manifest)
    loaded = load_module(manifest, content)
    matrix = _confusion(loaded, inputs[tried], labels[tried.numpy()], len(classes))
    (job.folder / "confusion.json").write_text(json.dumps({"classes": classes, "matrix": matrix.tolist()}) + "\n")
    return Trained(
        model=content,
        metrics={"accuracy": float(np.trace(matrix) / max(1, matrix.sum())), "rows": float(len(labels)), **last},
        data_snapshot=job.digests[0] if job.digests else source,
        environment=environment(),
        profile=profile_of(loaded, manifest, [images], source=source[:500], where="the data"),
    )


def _data(job: TrainingJob) -> tuple[Array, Array, tuple[str, ...], str]:
    if not job.datasets:
        digits = load_digits_split().train
        return (
            digits.images.numpy(),
            digits.labels.numpy(),
            tuple(str(number) for number in range(10)),
            f"the bundled digits' training part, {digits.digest()}",
        )
    arrays = read_arrays(job.datasets)
    inputs = sorted(name for name in arrays if name != "labels")
    name = "images" if "images" in arrays else "image" if "image" in arrays else "".join(inputs[:1])
    rows_of(arrays, name, "labels")
    images = numbers(arrays, name)
    if images.ndim == IMAGE_DIMENSIONS - 1:
        images = images[:, None]
    if images.ndim != IMAGE_DIMENSIONS:
        raise TrainingDataError(
            f"{name} has shape {list(images.shape)}; [rows, channels, height, width] or [rows, height, width] is needed"
        )
    classes, labels = classes_of(arrays["labels"])
    if len(classes) < 2:
        raise TrainingDataError("all rows are of one class; two or more are needed")
    return images, labels, classes, ", ".join(job.digests)


def _accuracy(module: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    if not len(labels):
        return {}
    module.eval()
    with torch.inference_mode():
        right = 0
        for start in range(0, len(labels), BATCH_ROWS):
            answered = module(images[start : start + BATCH_ROWS]).argmax(1)
            right += int((answered == labels[start : start + BATCH_ROWS]).sum())
    module.train()
    return {"held_out_accuracy": right / len(labels)}


def _confusion(module: nn.Module, images: torch.Tensor, labels: Array, classes: int) -> Array:
    """Return true class × answered class, in numbers of rows held out."""
    matrix = np.zeros((classes, classes), dtype=np.int64)
    with torch.inference_mode():
        for start in range(0, len(labels), BATCH_ROWS):
            answered = module(images[start : start + BATCH_ROWS]).argmax(1).numpy()
            np.add.at(matrix, (labels[start : start + BATCH_ROWS], answered), 1)
    return matrix
