"""What a file is, by its bytes and never by its name; and the way out for those that cannot be taken as they are."""

from typing import Literal

from hotswap_stream.application.artifacts.file import HEADER_BYTES_MAX, ArtifactFormatError

HEAD_BYTES = 4_096
"""The beginning of a file that is looked at."""
PICKLE_PROTOCOL_MAX = 5

FileKind = Literal["artifact", "onnx"]

_NEVER = "what must be unpickled can run any code, so it is never opened"
_SKLEARN = "of scikit-learn: convert it with skl2onnx, or hand the estimator to hotswap_stream.client.publish"
_TORCH = "of torch: export it with torch.onnx.export, or hand the module to hotswap_stream.client.publish"

_ZLIB = (b"x\x01", b"x\x5e", b"x\x9c", b"x\xda")
"""One for each group of its levels."""

_BEGINNINGS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x1f\x8b", f"compressed with gzip, as joblib's pickles may be; {_NEVER}. {_SKLEARN}"),
    (0, b"BZh", f"compressed with bzip2, as joblib's pickles may be; {_NEVER}. {_SKLEARN}"),
    (0, b"\xfd7zXZ", f"compressed with xz, as joblib's pickles may be; {_NEVER}. {_SKLEARN}"),
    *((0, start, f"compressed with zlib, as joblib's pickles are; {_NEVER}. {_SKLEARN}") for start in _ZLIB),
    (0, b'\x04"M\x18', f"compressed with lz4, as joblib's pickles may be; {_NEVER}. {_SKLEARN}"),
    (0, b"\x5d\x00\x00", f"compressed with lzma, as joblib's pickles may be; {_NEVER}. {_SKLEARN}"),
    (0, b"\x89HDF", "HDF5, as Keras writes it: convert it with tf2onnx, or export it with model.export(format='onnx')"),
    (4, b"TFL3", "TensorFlow Lite: convert it with tf2onnx"),
    (0, b"GGUF", "GGUF, weights of a language model: a graph is needed, as Optimum exports it to ONNX"),
    (0, b"CBM1", "CatBoost's own format: save it with save_model(format='onnx')"),
    (0, b"tree\nversion", "LightGBM's own format: convert it with onnxmltools, or hand the booster to publish"),
    (0, b'{"learner"', "XGBoost's own format: convert it with onnxmltools, or hand the booster to publish"),
    (
        0,
        b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner",
        "XGBoost's own format: convert it with onnxmltools, or hand the booster to publish",
    ),
    (0, b"\x93NUMPY", "a numpy array, not a model"),
    (0, b"PAR1", "Parquet, which holds data, not a model"),
)


def file_kind(head: bytes, size_bytes: int) -> FileKind:
    """Return what a file may be: a safetensors file, or else an ONNX graph, which nothing but reading it can tell.

    Args:
        head: Its first `HEAD_BYTES` bytes, or all it has.
        size_bytes: Of all of it.

    Raises:
        ArtifactFormatError: It is empty, or something that is not taken; the message says what it is and what to do.
    """
    if not size_bytes:
        raise ArtifactFormatError("the file is empty; a safetensors artifact or an ONNX graph is needed")
    header_bytes = int.from_bytes(head[:8], "little")
    if len(head) > 8 and head[8:9] == b"{" and header_bytes <= max(HEADER_BYTES_MAX, size_bytes):
        return "artifact"
    if _is_pickle(head):
        raise ArtifactFormatError(f"the file is a pickle, and {_NEVER}. {_SKLEARN}; {_TORCH}")
    if head[:4] == b"PK\x03\x04":
        raise ArtifactFormatError(_zip(head))
    for start, beginning, what in _BEGINNINGS:
        if head[start : start + len(beginning)] == beginning:
            raise ArtifactFormatError(f"the file is {what}")
    if head[:1] in (b"{", b"[", b"<"):
        raise ArtifactFormatError("the file is text; a safetensors artifact or an ONNX graph is needed")
    return "onnx"


def is_exported_program(head: bytes) -> bool:
    """Return whether a file begins as an exported torch program does (.pt2)."""
    return head[:4] == b"PK\x03\x04" and b"data.pkl" not in head and _of_program(head)


def _of_program(head: bytes) -> bool:
    return b"archive_format" in head or b"models/model.json" in head or b"archive_version" in head


def _is_pickle(head: bytes) -> bool:
    if len(head) > 2 and head[0] == 0x80 and 2 <= head[1] <= PICKLE_PROTOCOL_MAX:
        return True
    # Protocols 0 and 1 have no mark: these begin a class or a container, and ONNX never begins so.
    return head[:1] in (b"c", b"(", b"]", b"}") and b"\n" in head and head.isascii()


def _zip(head: bytes) -> str:
    if b"data.pkl" in head or b"/version" in head[:200]:
        return f"the file is torch's zip with a pickle inside, and {_NEVER}. {_TORCH}"
    if _of_program(head):
        return (
            "the file is an exported torch program (.pt2), and torch unpickles parts of it when it opens one, so it is "
            "never opened here: hand it to hotswap_stream.client.publish, which converts it where it was made"
        )
    if b"arrays" in head or b".npy" in head:
        return "the file holds numpy arrays, not a model"
    return "the file is a zip; a safetensors artifact or an ONNX graph is needed"
