"""The kinds of models: what travels or is kept by the thousand is a struct, other messages and what
a user writes are checked by pydantic."""

from functools import cache
from typing import Any, Self, cast, dataclass_transform

import msgspec
from msgspec.structs import FieldInfo
from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, create_model
from pydantic_core import CoreSchema, core_schema


class Frozen(BaseModel):
    """A message or a part of one: immutable; fields added by a later version are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Strict(BaseModel):
    """Something a user writes: immutable; an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class _Kind(msgspec.StructMeta):
    """How every struct is: msgspec has `kw_only` said anew by each class."""

    def __new__(mcs, name: str, bases: tuple[type, ...], named: dict[str, Any]) -> Any:
        how: Any = {"frozen": True, "kw_only": True, "omit_defaults": True, "gc": False}
        return super().__new__(mcs, name, bases, named, **how)


class Wire(msgspec.Struct, metaclass=_Kind):
    """A message of which there are many, or a part of one: immutable; fields added by a later
    version are ignored, fields that hold their default are not written. Checked when it is read,
    not when it is made. A quarter of a pydantic model's time (docs/decisions/0012)."""

    @classmethod
    def read(cls, text: bytes | str) -> Self:
        """From JSON. msgspec.DecodeError, a ValueError, says where it is none of these."""
        return _decoder(cls).decode(text)

    @classmethod
    def of(cls, value: object) -> Self:
        """From plain values, or anything that has these fields. msgspec.ValidationError, a
        ValueError, says what does not fit."""
        return msgspec.convert(value, cls, from_attributes=True, dec_hook=_model)

    def replace(self, **changes: Any) -> Self:
        """A copy with other values in these fields."""
        return msgspec.structs.replace(self, **changes)

    def json(self) -> bytes:
        """As JSON."""
        return _ENCODER.encode(self)

    def plain(self) -> dict[str, Any]:
        """All fields, those that hold their default too, with lists and mappings within."""
        return {name: plain(getattr(self, name)) for name in self.__struct_fields__}

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """For JSON Schemas, as pydantic writes them: those of a model with the same fields."""
        return core_schema.no_info_after_validator_function(
            cls.of,
            handler(model_of(cls)),
            serialization=core_schema.plain_serializer_function_ser_schema(plain),
        )


def plain(value: Any) -> Any:
    """Structs as mappings, tuples as lists."""
    if isinstance(value, Wire):
        return value.plain()
    if isinstance(value, list | tuple):
        return [plain(each) for each in cast("list[Any]", value)]
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


@cache
def _decoder(kind: type[Any]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind, dec_hook=_model)


def _model(kind: type[Any], value: Any) -> Any:
    """A field that pydantic checks."""
    return value if isinstance(value, kind) else kind.model_validate(value)


def _dumped(value: Any) -> Any:
    if not isinstance(value, BaseModel):
        raise TypeError(f"{value!r} cannot be written as JSON")
    return value.model_dump(mode="json", exclude_defaults=True)


_ENCODER = msgspec.json.Encoder(enc_hook=_dumped)


@cache
def model_of(kind: type[Frozen] | type[Wire]) -> type[Frozen]:
    """The pydantic model of a message, for those that read its fields off a model."""
    if not issubclass(kind, Wire):
        return kind
    fields: dict[str, Any] = {f.name: _field(f) for f in msgspec.structs.fields(kind)}
    return create_model(kind.__name__, __base__=Frozen, __doc__=kind.__doc__, **fields)


def _field(field: FieldInfo) -> tuple[Any, Any]:
    """Its type and what pydantic is to know of it."""
    meta = next(iter(getattr(field.type, "__metadata__", ())), msgspec.Meta())
    kept: dict[str, Any] = {"description": meta.description, "ge": meta.ge}
    if field.default is not msgspec.NODEFAULT:
        kept["default"] = field.default
    if field.default_factory is not msgspec.NODEFAULT:
        kept["default_factory"] = field.default_factory
    return getattr(field.type, "__origin__", field.type), Field(**kept)
