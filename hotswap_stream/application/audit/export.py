"""The log as a file: one JSON object a line, each sealed to the one before it.

A record's line is `{"offset":…,"timestamp_ms":…,"key":…,"value":…,"sha256":…}`: `value` holds the exact value bytes as
a string, or `value_base64` does where they are not UTF-8 (`key` likewise; a null is left out). `sha256` is taken over
the former line's `sha256` (64 zeros for the first) and this line without that field. Offsets that hold no
record because a transaction left its marker there, or took its records back, have a line of their own, sealed alike:
`{"without_records_from":…,"to":…,"sha256":…}`, `to` not included. The last line counts the records
and is sealed alike, so its `sha256` stands for the whole file. Lines are compact JSON in this order of fields, end in
one newline, and read back only if they are byte for byte what would be written today.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterator
from hashlib import sha256
from typing import BinaryIO

import msgspec
from msgspec import Struct

from hotswap_stream.application.audit.findings import Damage, Finding
from hotswap_stream.application.audit.walk import finding_at, header_of, misplaced
from hotswap_stream.application.log.port import LogRecord
from hotswap_stream.errors import HotswapError

EXPORT_FORMAT = "hotswap.registry-export.v1"
LINE_BYTES_MAX = 8 * 1_048_576
_FIRST = "0" * 64
_PASSED_START = b'{"without_records_from":'


class ExportDamagedError(HotswapError):
    """The file is not as it was written; `finding` names the first place."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(f"the export is damaged: {finding}")
        self.finding = finding


class _RecordLine(Struct, omit_defaults=True, forbid_unknown_fields=True):
    offset: int
    timestamp_ms: int
    key: str | None = None
    key_base64: str | None = None
    value: str | None = None
    value_base64: str | None = None
    sha256: str | None = None


class _PassedLine(Struct, forbid_unknown_fields=True, omit_defaults=True):
    without_records_from: int
    to: int
    sha256: str | None = None


class _LastLine(Struct, omit_defaults=True, forbid_unknown_fields=True):
    format: str
    records: int
    sha256: str | None = None


_RECORD_LINE = msgspec.json.Decoder(_RecordLine)
_PASSED_LINE = msgspec.json.Decoder(_PassedLine)
_LAST_LINE = msgspec.json.Decoder(_LastLine)


class ExportWriter:
    """Makes the lines, in order; each ends in a newline."""

    def __init__(self) -> None:
        self.sha256 = _FIRST
        """SHA-256 of the line made last."""
        self.records = 0

    def line(self, record: LogRecord) -> bytes:
        """Return the next record's line."""
        self.records += 1
        key, key_base64 = _text_or_base64(record.key)
        value, value_base64 = _text_or_base64(record.value)
        return self._sealed(_RecordLine(record.offset, record.timestamp_ms, key, key_base64, value, value_base64))

    def passed(self, offsets: range) -> bytes:
        """Return a line for offsets that hold no record."""
        return self._sealed(_PassedLine(offsets.start, offsets.stop))

    def last_line(self) -> bytes:
        """Return the line that comes after all records."""
        return self._sealed(_LastLine(EXPORT_FORMAT, self.records))

    @property
    def seal(self) -> str:
        """The seal of the whole, were the last line written now."""
        return sha256(self.sha256.encode() + msgspec.json.encode(_LastLine(EXPORT_FORMAT, self.records))).hexdigest()

    def _sealed(self, line: _RecordLine | _PassedLine | _LastLine) -> bytes:
        content = msgspec.json.encode(line)
        self.sha256 = sha256(self.sha256.encode() + content).hexdigest()
        return content[:-1] + f',"sha256":"{self.sha256}"}}\n'.encode()


def read_export(file: BinaryIO) -> Iterator[LogRecord]:
    """Read the records of an export, each checked before it is given.

    Reads line by line: the last records are given before the last line is checked.

    Raises:
        ExportDamagedError: At the first broken line.
    """
    return (found for found in read_export_offsets(file) if not isinstance(found, range))


def whole_export(file: BinaryIO) -> tuple[int, str]:
    """Return how many records an export has, and its seal. ExportDamagedError where it is not whole."""
    writer = ExportWriter()
    for found in read_export_offsets(file):
        if isinstance(found, range):
            writer.passed(found)
        else:
            writer.line(found)
    return writer.records, writer.seal


def read_export_offsets(file: BinaryIO) -> Iterator[LogRecord | range]:
    """Read the records of an export and, where they stood, offsets that held no record.

    Reads line by line: the last records are given before the last line is checked.

    Raises:
        ExportDamagedError: At the first broken line.
    """
    writer = ExportWriter()
    expected_offset = 0
    for line in _lines(file):
        passed = _passed_of(line)
        if passed is not None and passed.start == expected_offset:
            if writer.passed(passed) != line:
                raise _damaged(expected_offset, "changed", "the line is not as it was written")
            yield passed
            expected_offset = passed.stop
            continue
        record = _record_of(line)
        if record is None:
            _check_last_line(line, writer, expected_offset, file)
            return
        former_sha256 = writer.sha256
        as_written = writer.line(record) == line
        # An offset without a record is none of the export's doing where the seal says so.
        if record.offset < expected_offset or (record.offset > expected_offset and not as_written):
            raise ExportDamagedError(_misplaced(line, record, former_sha256, expected_offset, file))
        if not as_written:
            raise _damaged(expected_offset, "changed", "the line is not as it was written", record)
        yield record
        expected_offset = record.offset + 1
    raise _damaged(expected_offset, "cut-off", "the file ends without its last line")


def _lines(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(LINE_BYTES_MAX + 1):
        yield line


def _record_of(line: bytes) -> LogRecord | None:
    """Return the record a line holds, whether or not its seal fits; None if it holds none."""
    try:
        read = _RECORD_LINE.decode(line)
        key = _bytes_of(read.key, read.key_base64)
        value = _bytes_of(read.value, read.value_base64)
    except ValueError:  # msgspec's errors, wrong base64 and wrong UTF-8 are all ValueErrors
        return None
    return LogRecord(read.offset, read.timestamp_ms, key, value)


def _passed_of(line: bytes) -> range | None:
    """The offsets that a line says hold no record, whether or not its seal fits; None if it says no such thing."""
    if not line.startswith(_PASSED_START):
        return None
    try:
        read = _PASSED_LINE.decode(line)
    except ValueError:
        return None
    return range(read.without_records_from, read.to) if read.without_records_from < read.to else None


def _text_or_base64(content: bytes | None) -> tuple[str | None, str | None]:
    if content is None:
        return None, None
    try:
        return content.decode(), None
    except UnicodeDecodeError:
        return None, b64encode(content).decode()


def _bytes_of(text: str | None, base64: str | None) -> bytes | None:
    if base64 is not None:
        return b64decode(base64, validate=True)
    return None if text is None else text.encode()


def _check_last_line(line: bytes, writer: ExportWriter, expected_offset: int, file: BinaryIO) -> None:
    try:
        last = _LAST_LINE.decode(line)
    except ValueError:
        raise _damaged(expected_offset, "changed", _why_no_line(line)) from None
    if file.readline(1):
        raise _damaged(expected_offset, "reordered", "the last line stands before others")
    records = writer.records
    if writer.last_line() == line:
        return
    if last.records > records and writer.sha256.encode() not in line:
        detail = f"the last line counts {last.records} records, {records} are here"
        raise _damaged(expected_offset, "dropped", detail)
    raise _damaged(expected_offset, "changed", "the last line is not as it was written")


def _why_no_line(line: bytes) -> str:
    if len(line) > LINE_BYTES_MAX:
        return f"a line has more than {LINE_BYTES_MAX} bytes; no record needs as many"
    return "the line is neither a record nor the last line of an export"


def _misplaced(line: bytes, record: LogRecord, former_sha256: str, expected_offset: int, file: BinaryIO) -> Finding:
    """Tell of another offset than expected: it was changed, or the expected one is missing, or comes later."""
    in_place = ExportWriter()
    in_place.sha256 = former_sha256
    in_place.line(msgspec.structs.replace(record, offset=expected_offset))
    if in_place.sha256.encode() in line:
        return finding_at(expected_offset, header_of(record), "changed", f"its offset was changed to {record.offset}")
    later = (_record_of(line) for line in _lines(file))
    late = next((record for record in later if record is not None and record.offset == expected_offset), None)
    return misplaced(expected_offset, record, late)


def _damaged(offset: int, damage: Damage, detail: str, record: LogRecord | None = None) -> ExportDamagedError:
    header = None if record is None else header_of(record)
    stream = None if record is None or record.key is None else record.key.decode(errors="replace")
    return ExportDamagedError(finding_at(offset, header, damage, detail, stream=stream))
