"""Data that versions are made from: the bundled digits, files of them, and what they looked like."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hotswap_stream.bootstrap.artifacts import artifact_store
from hotswap_stream.settings import Settings

if TYPE_CHECKING:
    from hotswap_stream.application.training.runs import DataProfile

DigitsKind = Literal["good", "inverted", "shifted", "mislabeled", "noise", "constant"]


def write_digits(
    file: Path,
    kind: DigitsKind,
    *,
    count: int | None = None,
    pixel_noise: float = 0.0,
    seed: int = 0,
    shift_by: int = 1,
    constant_label: int = 0,
) -> int:
    """Write training data drawn from the bundled digits, right or spoilt in a way that `kind` names.

    Args:
        file: A .safetensors file; it is replaced as a whole.
        kind: What is wrong with the data; "good" is right.
        count: Images to draw; None takes the whole training part.
        pixel_noise: Standard deviation of normal noise added to each pixel, 0 to 1.
        seed: The same arguments give the same data.
        shift_by: For "shifted": added to each label, modulo 10.
        constant_label: For "constant": the label of every image.

    Returns:
        The number of images written.

    Raises:
        DataRequestError: Data of this kind, or in this number, cannot be made.
        ConfigurationError: The package that brings the digits is not installed.
    """
    from hotswap_stream.adapters.torch.data.bad_data import make_data
    from hotswap_stream.adapters.torch.data.digits import load_digits_split
    from hotswap_stream.adapters.torch.data.files import save_data_file

    data = make_data(
        load_digits_split().train,
        kind,
        count=count,
        pixel_noise=pixel_noise,
        seed=seed,
        shift_by=shift_by,
        constant_label=constant_label,
    )
    save_data_file(file, data)
    return len(data)


def held_out_digits() -> list[tuple[list[float], int]]:
    """Return the digits that no version was trained or validated on.

    Returns:
        Pixels of a 28 by 28 image, row by row, from 0 (paper) to 1 (ink), and the label, for each digit.

    Raises:
        ConfigurationError: The package that brings the digits is not installed.
    """
    from hotswap_stream.adapters.torch.data.digits import load_digits_split

    held_out = load_digits_split().held_out
    return list(zip(held_out.images.flatten(1).tolist(), held_out.labels.tolist(), strict=True))


async def data_profile(settings: Settings, digest: str, data: Path, source: str) -> "DataProfile":
    """Say what data looked like, and the scores that a version gives to them.

    Args:
        settings: Say where the artifact is, and how many threads may compute.
        digest: Artifact of the version, which computes all rows once.
        data: File with the inputs of the version.
        source: What to call the data.

    Raises:
        DataFileError: The file does not hold what the version takes.
    """
    from hotswap_stream.adapters.torch.modules.loading import load_module
    from hotswap_stream.adapters.torch.modules.threads import limit_threads
    from hotswap_stream.adapters.torch.training.profiling import profile_of, read_inputs

    limit_threads(settings.torch_threads)
    artifact = await artifact_store(settings).fetch(digest)

    def made() -> "DataProfile":
        module = load_module(artifact.manifest, artifact.content)
        inputs = read_inputs(data, artifact.manifest)
        return profile_of(module, artifact.manifest, inputs, source=source, where=str(data))

    return await asyncio.to_thread(made)
