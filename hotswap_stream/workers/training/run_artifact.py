"""What a trainer left."""

import stat
from pathlib import Path

from hotswap_stream.application.trainers.place import RunFailedError
from hotswap_stream.application.trainers.protocol import ARTIFACT_NAMES, TrainerFinished


def artifact_in(folder: Path, finished: TrainerFinished, bytes_max: int) -> Path:
    """Return the file that is the artifact: a plain file of the folder itself, of a size that is allowed.

    RunFailedError.
    """
    names = ARTIFACT_NAMES if finished.artifact is None else (finished.artifact,)
    for name in names:
        if name != Path(name).name or name in (".", ".."):
            raise RunFailedError("bad-output", f"the artifact {name[:100]!r} is no name of a file in the run's folder")
        try:
            found = (folder / name).lstat()
        except OSError:
            continue
        if not stat.S_ISREG(found.st_mode):
            raise RunFailedError("bad-output", f"the artifact {name[:100]!r} is no plain file")
        if found.st_size > bytes_max:
            raise RunFailedError("over-limit", f"the artifact has {found.st_size} bytes; {bytes_max} are allowed")
        return folder / name
    raise RunFailedError("no-artifact", f"the trainer ended well and left none of {', '.join(names)} in its folder")
