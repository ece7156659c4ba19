"""Where a record can be hostile: the fields of its payload, from the message classes, and the parts around it."""

from collections.abc import Iterator
from typing import Literal, get_args

from msgspec import Struct
from msgspec import inspect as types

Family = Literal["text", "number", "flag", "time", "choice", "list", "map", "object", "bytes", "any"]
"""What a payload's field is made of."""
Part = Literal["value", "key", "header", "timestamp", "partition", "batch"]
"""What a record has besides the fields of its payload."""

DEPTH_MAX = 5
"""How deep fields of fields are looked into; the messages nest four deep."""


class Field(Struct, frozen=True, kw_only=True):
    """One place in a record. `path` leads to a field of the payload; `name` is that of a header."""

    part: Part | Literal["field"]
    family: Family | None = None
    path: tuple[str, ...] = ()
    name: str = ""

    def __str__(self) -> str:
        if self.part == "field":
            path = ".".join(self.path)
            return f"field {path}" if path in get_args(Part) else path  # feedback has a field `value`
        return f"header {self.name}" if self.part == "header" else self.part


def payload_fields(payload: type[Struct]) -> list[Field]:
    """All fields of a message class, those of its parts included; list items as `0`, map values by a sample key."""
    return list(_of_struct(types.type_info(payload), ()))


def _of_struct(info: types.Type, path: tuple[str, ...]) -> Iterator[Field]:
    if not isinstance(info, types.StructType):
        raise TypeError(f"{info!r} is no message class")
    if info.tag_field is not None:
        yield Field(part="field", family="choice", path=(*path, info.tag_field))
    for field in info.fields:
        yield from _of_type(field.type, (*path, field.encode_name))


def _of_type(info: types.Type, path: tuple[str, ...]) -> Iterator[Field]:
    info = _plain(info)
    family = _family(info)
    yield Field(part="field", family=family, path=path)
    if len(path) >= DEPTH_MAX:
        return
    if isinstance(info, types.StructType):
        yield from _of_struct(info, path)
    elif isinstance(info, types.DictType):
        yield from _of_type(info.value_type, (*path, _sample_key(info.key_type)))
    elif isinstance(info, types.ListType | types.VarTupleType):
        yield from _of_type(info.item_type, (*path, "0"))


def _plain(info: types.Type) -> types.Type:
    """Without annotations, and of several types the first that is not None; a class of its own before others."""
    while isinstance(info, types.Metadata):
        info = info.type
    if isinstance(info, types.UnionType):
        found = [_plain(each) for each in info.types if not isinstance(each, types.NoneType)]
        structs = [each for each in found if isinstance(each, types.StructType)]
        return (structs or found)[0]
    return info


def _family(info: types.Type) -> Family:
    families: list[tuple[tuple[type, ...], Family]] = [
        ((types.IntType, types.FloatType), "number"),
        ((types.StrType,), "text"),
        ((types.BoolType,), "flag"),
        ((types.BytesType,), "bytes"),
        ((types.DateTimeType,), "time"),
        ((types.LiteralType, types.EnumType), "choice"),
        ((types.ListType, types.VarTupleType, types.TupleType), "list"),
        ((types.DictType,), "map"),
        ((types.StructType,), "object"),
    ]
    return next((family for classes, family in families if isinstance(info, classes)), "any")


def _sample_key(info: types.Type) -> str:
    info = _plain(info)
    if isinstance(info, types.IntType):
        return "1"
    return str(info.values[0]) if isinstance(info, types.LiteralType) else "k"
