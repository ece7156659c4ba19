"""Validation sets in Parquet files: which columns are which arrays, and what a file can be instead."""

import decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hotswap_stream.adapters.evaluation.parquet_columns import read_columns
from hotswap_stream.adapters.evaluation.set_artifacts import pack_set
from hotswap_stream.adapters.evaluation.set_files import read_set_file
from hotswap_stream.application.training.validation_sets import ValidationSetError

BYTES_MAX = 1_000_000


def parquet(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    pq.write_table(pa.table(columns), path, **options)
    return path


def test_a_file_is_the_same_set_as_the_same_arrays(tmp_path: Path) -> None:
    columns = {"x.1": [3.0, 4.0], "city": ["Rome", "Ulm ü"], "x.0": [1.0, 2.0], "labels": [0, 1]}
    np.savez(tmp_path / "set.npz", x=np.array([[1.0, 3.0], [2.0, 4.0]]), city=["Rome", "Ulm ü"], labels=[0, 1])
    one = read_set_file(parquet(tmp_path / "set.parquet", columns), bytes_max=BYTES_MAX)
    other = read_set_file(tmp_path / "set.npz", bytes_max=BYTES_MAX)
    assert (one.facts.kind, one.facts.rows) == ("classification", 2)
    assert pack_set(one) == pack_set(other)


def test_each_type_of_column_is_an_array(tmp_path: Path) -> None:
    columns = {
        "float": pa.array([1.5, 2.5], pa.float32()),
        "small": pa.array([1, 2], pa.int8()),
        "truth": [True, False],
        "word": pa.array(["a", "a"]).dictionary_encode(),
        "lists": [[1, 2, 3], [4, 5, 6]],
        "fixed": pa.array([[[1.0], [2.0]], [[3.0], [4.0]]], pa.list_(pa.list_(pa.float64(), 1), 2)),
        "words": [["a", "b"], ["c", "d"]],
        "__index_level_0__": [7, 8],
    }
    found = read_columns(parquet(tmp_path / "set.parquet", columns, row_group_size=1), BYTES_MAX)
    assert {name: (array.dtype.kind, array.shape) for name, array in found.items()} == {
        "float": ("f", (2,)),
        "small": ("i", (2,)),
        "truth": ("b", (2,)),
        "word": ("O", (2,)),
        "lists": ("i", (2, 3)),
        "fixed": ("f", (2, 2, 1)),
        "words": ("O", (2, 2)),
    }
    assert found["float"].dtype == np.float32
    assert found["lists"].tolist() == columns["lists"]
    assert found["fixed"].tolist() == [[[1.0], [2.0]], [[3.0], [4.0]]]
    assert found["words"].tolist() == columns["words"]


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"x": [1.0, None], "labels": [0, 1]}, "'x' lacks 1 values: fill them"),
        ({"x": [[1, None], [2, 3]], "labels": [0, 1]}, "'x' lacks 1 values"),
        ({"x": [[1], [2, 3]], "labels": [0, 1]}, "2 different lengths"),
        ({"x": [b"a", b"b"], "labels": [0, 1]}, "'x' is of type binary; numbers"),
        ({"x": [decimal.Decimal("1.5")], "labels": [0]}, "'x' is of type decimal"),
        ({"x": [{"a": 1}], "labels": [0]}, "'x' is of type struct"),
        ({"x.0": [1], "x.2": [2], "labels": [0]}, "from 0 on without a gap"),
        ({"x.0": [1], "x": [2], "labels": [0]}, "no other column may have that name"),
        ({"x.0": [1], "x.1": ["a"], "labels": [0]}, "types must fit together"),
        ({f"c{number}": [1] for number in range(65)}, "at most 64 are allowed: name columns"),
        ({"x": pa.array([], pa.float64()), "labels": pa.array([], pa.int64())}, "the set is empty"),
    ],
)
def test_what_is_no_array_says_why(tmp_path: Path, columns: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationSetError, match=says):
        read_columns(parquet(tmp_path / "set.parquet", columns), BYTES_MAX)


def test_what_unpacks_to_more_than_is_allowed_is_refused(tmp_path: Path) -> None:
    bomb = parquet(tmp_path / "bomb.parquet", {"x": ["a" * 10_000] * 1_000, "labels": [0] * 1_000})
    assert bomb.stat().st_size < 50_000
    with pytest.raises(ValidationSetError, match="unpacked, the Parquet file has more than the 1000000 bytes"):
        read_columns(bomb, BYTES_MAX)
    many = parquet(tmp_path / "many.parquet", {"x": np.zeros(600_000, bool), "labels": np.zeros(600_000, bool)})
    with pytest.raises(ValidationSetError, match="claims 600000 rows of 2 columns"):
        read_columns(many, BYTES_MAX)


@pytest.mark.parametrize("damage", ["cut", "turned", "no columns"])
def test_a_damaged_file_is_told_of_by_the_process_that_reads_it(tmp_path: Path, damage: str) -> None:
    file = parquet(tmp_path / "set.parquet", {"x": np.arange(1_000.0), "labels": np.zeros(1_000, int)})
    content = bytearray(file.read_bytes())
    if damage == "cut":
        del content[-100:]
    elif damage == "turned":
        content[40:400] = content[40:400][::-1]
    else:
        parquet(file, {})
        content = bytearray(file.read_bytes())
    file.write_bytes(content)
    with pytest.raises(ValidationSetError, match="Parquet file"):
        read_set_file(file, bytes_max=BYTES_MAX)
