"""The demo's own folder: gone at the end, but for the logs of what could not run."""

import shutil
from pathlib import Path

import pytest

from hotswap_stream.cli.demo.play import home_folder
from hotswap_stream.errors import HotswapError


async def played(keep: Path | None, error: BaseException | None) -> Path:
    """The folder, when a demo that writes one file is over. `error` ends it."""
    written: list[Path] = []

    async def play() -> None:
        async with home_folder(keep) as home:
            (home / "api.log").write_text("no port", encoding="utf-8")
            written.append(home)
            if error is not None:
                raise error

    if error is None:
        await play()
    else:
        with pytest.raises(type(error)):
            await play()
    return written[0]


@pytest.mark.parametrize("error", [None, KeyboardInterrupt(), AssertionError("a bug")])
async def test_it_is_gone_at_the_end_whatever_ends_it(error: BaseException | None) -> None:
    home = await played(None, error)
    assert not home.exists()


async def test_logs_that_an_error_names_can_be_read() -> None:
    home = await played(None, HotswapError("process 'api' did not start: its log is …"))
    assert (home / "api.log").read_text(encoding="utf-8") == "no port"
    shutil.rmtree(home)


async def test_a_folder_of_the_user_s_own_is_kept(tmp_path: Path) -> None:
    assert await played(tmp_path, None) == tmp_path
    assert (tmp_path / "api.log").read_text(encoding="utf-8") == "no port"
