"""What was noted down of a log before: its seal and its heads, against the log as it is, grown, cut, or changed."""

import re
from hashlib import sha256
from io import BytesIO

import pytest

from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from hotswap_stream.application.audit.audit import export_log, verify_export, verify_log
from hotswap_stream.application.audit.expected import Expected
from hotswap_stream.application.log.port import LogRecord
from tests.support.checkout import ROOT
from tests.support.samples.registry import LogBuilder, SteppingClock, promoted, trained


async def log_of(records: list[LogRecord]) -> MemoryRegistryLog:
    shared = MemoryRegistry(SteppingClock())
    shared.records.extend(records)
    log = MemoryRegistryLog(shared)
    await log.start()
    return log


RECORDS = (
    LogBuilder()
    .append(trained("v1"), promoted("v1"))
    .append(trained("v1"), subject="faces")
    .append(trained("v2"), promoted("v2", "v1"))
    .records
)


async def test_a_log_that_grew_has_the_seal_and_the_heads_of_before() -> None:
    before = await verify_log(await log_of(RECORDS[:3]))
    assert before.seal is not None
    heads = {name: head.digest for name, head in before.heads.items()}
    assert set(heads) == {"digits", "faces"}
    after = await verify_log(await log_of(RECORDS), Expected(heads, before.seal))
    assert after.ok
    assert after.seal != before.seal


async def test_a_log_that_was_cut_off_lacks_them() -> None:
    whole = await verify_log(await log_of(RECORDS))
    heads = {name: head.digest[:12] for name, head in whole.heads.items()}
    cut = await verify_log(await log_of(RECORDS[:-1]), Expected(heads, whole.seal))
    assert [(found.damage, found.offset, found.stream) for found in cut.findings] == [
        ("cut-off", 4, "digits"),
        ("changed", 4, None),
    ]
    assert not cut.ok
    gone = await verify_log(
        await log_of([r for r in RECORDS if r.key != b"faces"]), Expected({"faces": heads["faces"]})
    )
    assert "no event of 'faces'" in str(gone.findings[-1])


async def test_the_seal_is_that_of_an_export_and_of_the_recipe_in_the_guide(tmp_path: object) -> None:
    log, file = await log_of(RECORDS), BytesIO()
    writer = await export_log(log, file)
    report = await verify_log(log)
    assert report.seal == writer.sha256
    assert verify_export(BytesIO(file.getvalue()), Expected(seal=writer.sha256)) == report
    guide = (ROOT / "docs" / "guides" / "audit.md").read_text()
    recipe = re.search(r"```python\n(import hashlib.*?)```", guide, re.DOTALL)
    assert recipe is not None
    printed: list[str] = []
    lines = file.getvalue().decode().splitlines(keepends=True)
    names = {"open": lambda *_args, **_kwargs: iter(lines), "print": printed.append}
    exec(compile(recipe[1], "recipe", "exec"), names)  # noqa: S102 - the guide's own code
    assert printed == [report.seal]


@pytest.mark.parametrize("changed", [0, 3])
async def test_another_seal_says_what_it_is_instead(changed: int) -> None:
    other = sha256(b"other").hexdigest()
    report = await verify_log(await log_of(RECORDS[changed:] if changed else RECORDS), Expected(seal=other))
    assert any(found.damage == "changed" and f"has {report.seal}" in found.detail for found in report.findings)
