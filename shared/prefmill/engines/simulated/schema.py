"""JSON that fits a JSON Schema, filled with verdicts or with an answer.

Understands what structured output of the known servers allows: objects, arrays, scalars, `enum`,
`const`, `anyOf`/`oneOf`/`allOf`, `$ref` within the schema, `minItems`. Fields are recognised by
their names: rating or score, rationale, type, number or text.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from pydantic import JsonValue

from prefmill.engines.simulated.layouts import choice_of, scaled
from prefmill.engines.simulated.verdicts import Verdict

_RATIONALE: Final = re.compile(
    r"rationale|reason|explanation|feedback|comment|critique", re.IGNORECASE
)
_RATING: Final = re.compile(r"rating|score|quality|grade", re.IGNORECASE)
_NUMBER: Final = re.compile(
    r"^(text|number|n|no|index|id|position|text_?(number|id|no|index))$", re.IGNORECASE
)
_DIGITS: Final = re.compile(r"-?\d+(?:\.\d+)?")
_TRAILING: Final = re.compile(r"(\d+)$")


@dataclass(frozen=True, slots=True)
class Filling:
    """What there is to say: an answer's text, or verdicts, one of them current."""

    text: str
    verdicts: Sequence[Verdict] = ()
    current: Verdict | None = None
    field: str = ""


def json_for(schema: Mapping[str, Any], filling: Filling) -> JsonValue:
    """A value that the schema accepts, saying what the filling says as far as it has fields."""
    return _value(schema, filling, schema)


def _value(schema: Mapping[str, Any], filling: Filling, root: Mapping[str, Any]) -> JsonValue:
    schema = _resolved(schema, root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return _of_enum(list(schema["enum"]), filling)
    kind = _kind(schema)
    if kind == "object":
        return _object(schema, filling, root)
    if kind == "array":
        return _array(schema, filling, root)
    return _scalar(kind, schema, _said(filling))


def _resolved(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema behind references and choices; of several choices the first that says much."""
    for _ in range(20):
        choices = _choices(schema)
        if "$ref" in schema:
            schema = _target(str(schema["$ref"]), root)
        elif choices:
            schema = next((each for each in choices if not _is_null(each)), choices[0])
        else:
            break
    return schema


def _choices(schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    for name in ("anyOf", "oneOf", "allOf"):
        if schema.get(name):
            return cast("list[Mapping[str, Any]]", schema[name])
    return []


def _target(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    target = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        target = cast("Mapping[str, Any]", target.get(part, {})) if part else root
    return target


def _is_null(schema: Mapping[str, Any]) -> bool:
    return schema.get("type") == "null" or "const" in schema


def _kind(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        named = [str(each) for each in cast("list[Any]", kind) if each != "null"]
        return named[0] if named else "null"
    return str(kind) if kind else "object" if "properties" in schema else "string"


def _object(
    schema: Mapping[str, Any], filling: Filling, root: Mapping[str, Any]
) -> dict[str, JsonValue]:
    properties = cast("dict[str, Any]", schema.get("properties", {}))
    return {name: _value(part, _narrowed(filling, name), root) for name, part in properties.items()}


def _narrowed(filling: Filling, name: str) -> Filling:
    """`text_2` speaks of text 2; any other name says which field is wanted."""
    numbered = _TRAILING.search(name)
    if filling.current is None and numbered:
        for verdict in filling.verdicts:
            if verdict.number == int(numbered[1]):
                return replace(filling, current=verdict, field=name[: numbered.start()])
    return replace(filling, field=name)


def _array(schema: Mapping[str, Any], filling: Filling, root: Mapping[str, Any]) -> list[JsonValue]:
    items = cast("Mapping[str, Any]", schema.get("items", {}))
    if filling.current is None and filling.verdicts:
        each = [replace(filling, current=verdict) for verdict in filling.verdicts]
        return [_value(items, one, root) for one in each]
    said = _said(filling)
    if isinstance(said, list):
        wanted = [_scalar(_kind(_resolved(items, root)), items, one) for one in said]
        return [one for one in wanted if one in _resolved(items, root).get("enum", wanted)]
    return [_value(items, filling, root)] * max(1, int(schema.get("minItems", 1)))


def _said(filling: Filling) -> JsonValue:
    """What the field in hand should say."""
    verdict, name = filling.current, filling.field
    if verdict is None and filling.verdicts:
        verdict = filling.verdicts[0]
    if verdict is None:
        return filling.text
    if _RATIONALE.search(name):
        second = _RATING.search(name) and verdict.types is not None
        return verdict.rationale_for_rating if second else verdict.rationale
    if _NUMBER.match(name):
        return verdict.number
    if "type" in name.lower():
        return list(verdict.types or ())
    return verdict.rating


def _of_enum(allowed: list[JsonValue], filling: Filling) -> JsonValue:
    """The member that says it: of numbers the one at the text's quality, of A and B the better
    text; a list of rating names is read from the lowest up."""
    said = _said(filling)
    verdict = filling.current or next(iter(filling.verdicts), None)
    numbers = [float(str(member)) for member in allowed if _DIGITS.fullmatch(str(member))]
    if verdict and "A" in allowed and "B" in allowed:
        said = choice_of(filling.verdicts)
    elif verdict and said == verdict.rating and len(numbers) > 1:
        said = f"{scaled(verdict.quality, (min(numbers), max(numbers))):g}"
    for member in allowed:
        if str(member).casefold() == str(said).casefold():
            return member
    if isinstance(said, int) and 0 < said <= len(allowed):
        return allowed[said - 1]
    return allowed[-1] if said == [] else allowed[0]


def _scalar(kind: str, schema: Mapping[str, Any], said: JsonValue) -> JsonValue:
    if kind == "string":
        return ", ".join([str(one) for one in said]) if isinstance(said, list) else str(said)
    if kind == "boolean":
        return isinstance(said, int) and said > 3
    if kind == "null":
        return None
    text = str(said)
    number = int(text) if text.isdigit() else int(schema.get("minimum", 0))
    return float(number) if kind == "number" else number
