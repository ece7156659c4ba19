"""What was noted down of a log before, held against what an audit reads now: heads of streams, and a seal."""

from collections.abc import Mapping

from hotswap_stream.application.audit.export import ExportWriter
from hotswap_stream.application.audit.findings import Finding
from hotswap_stream.application.log.port import LogRecord

DIGEST_CHARACTERS_MIN = 12


class Expected:
    """Feed it what the audit reads, in order; then ask what is missing.

    A log may have grown since: a head holds where an event with this digest is in its stream, and a seal where the log
    begins with what an export with this seal holds.
    """

    def __init__(self, heads: Mapping[str, str] | None = None, seal: str | None = None) -> None:
        self._heads = dict(heads or {})
        self._expected_seal = seal
        self._sealed_here = seal is None
        self._writer = ExportWriter()

    @property
    def seal(self) -> str:
        """The seal of an export of what was read so far."""
        return self._writer.seal

    def take_offsets(self, offsets: range) -> None:
        """Take in offsets that hold no record."""
        self._writer.passed(offsets)

    def take(self, record: LogRecord) -> None:
        """Take in a record."""
        self._writer.line(record)
        if not self._sealed_here:
            self._sealed_here = self._writer.seal == self._expected_seal

    def found_head(self, stream: str, digest: str) -> None:
        """Take in that an event with this digest counts in this stream."""
        wanted = self._heads.get(stream)
        if wanted is not None and digest.startswith(wanted):
            del self._heads[stream]

    def missing(self, next_offset: int) -> tuple[Finding, ...]:
        """Return what was expected and is not there, in a log that ends before this offset."""
        found = [
            Finding(
                damage="cut-off",
                offset=next_offset,
                stream=stream,
                detail=f"no event of {stream!r} has the digest {digest} that you expect as one of its heads",
            )
            for stream, digest in self._heads.items()
        ]
        if not self._sealed_here:
            detail = f"nothing that the log begins with has the seal {self._expected_seal}; all of it has {self.seal}"
            found.append(Finding(damage="changed", offset=next_offset, detail=detail))
        return tuple(found)
