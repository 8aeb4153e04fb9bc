"""What a server says went wrong, out of the many shapes in which servers say it."""

import json
import re
from dataclasses import dataclass
from typing import Any, Final, cast

from pydantic_core import from_json

from prefmill.engines.text import clean, one_line

_HTML: Final = re.compile(rb"\s*(?:<!doctype|<html|<head|<body|<\?xml|<!--)", re.IGNORECASE)
_TITLE: Final = re.compile(r"<title[^>]*>([^<]*)", re.IGNORECASE)
_TAG: Final = re.compile(r"<[^>]{0,500}>")
_CODES: Final = ("code", "error_code", "type", "status")


@dataclass(frozen=True, slots=True)
class ServerError:
    """A server's words: `codes` are its machine-readable names, lower case; `param` is the
    request's field it blames; `number` an HTTP status in a body that came with another one."""

    message: str
    codes: frozenset[str] = frozenset()
    param: str = ""
    number: int = 0


def is_html(body: bytes) -> bool:
    """Whether the body is a web page."""
    return _HTML.match(body) is not None


def parsed(body: bytes) -> Any:
    """The body as JSON; ValueError if it is none, or cut off. Lone surrogates survive."""
    try:
        return from_json(body)
    except ValueError:
        try:
            return json.loads(body.decode("utf-8", "replace"))
        except RecursionError as error:
            raise ValueError("nested too deeply") from error


def error_in(body: bytes) -> ServerError:
    """What the body of a failed request says; a page's title, or its first words, if no JSON."""
    try:
        document = parsed(body)
    except ValueError:
        return ServerError(_words(body[:20_000].decode("utf-8", "replace")))
    return error_of(document)


def error_of(document: Any) -> ServerError:
    """What a JSON body says, in the shapes of OpenAI, Anthropic, vLLM, Ollama, FastAPI, Google
    and Mistral."""
    if isinstance(document, list) and document:
        return error_of(cast("list[Any]", document)[0])
    outer = record(document)
    inner = outer.get("error", outer.get("detail"))
    if isinstance(inner, str):
        return ServerError(_said(inner), _codes(outer), number=_number(outer))
    if isinstance(inner, list):
        return _validation(cast("list[Any]", inner))
    fields = record(inner) or outer
    said = fields.get("message") or fields.get("msg") or fields.get("detail")
    return ServerError(
        _said(said if isinstance(said, str) else repr(fields)[:1000]),
        _codes(fields) | _codes(record(fields.get("details"))) | _inner_codes(fields),
        param=str(fields.get("param") or ""),
        number=_number(fields),
    )


def record(value: Any) -> dict[str, Any]:
    """The value if it is a JSON object, else an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def records(value: Any) -> list[dict[str, Any]]:
    """The JSON objects in the value if it is a list, else none."""
    return [record(item) for item in cast("list[Any]", value)] if isinstance(value, list) else []


def _validation(problems: list[Any]) -> ServerError:
    """FastAPI's and Mistral's list of wrong fields."""
    fields = [record(problem) for problem in problems]
    places = [_place(field.get("loc")) for field in fields]
    said = (f"{place}: {field.get('msg')}" for place, field in zip(places, fields, strict=True))
    codes = frozenset(str(field.get("type")).lower() for field in fields)
    return ServerError(_said("; ".join(said)), codes, param=next(iter(places), ""))


def _place(loc: Any) -> str:
    return str(cast("list[Any]", loc)[-1]) if isinstance(loc, list) and loc else ""


def _codes(fields: dict[str, Any]) -> frozenset[str]:
    values = (fields.get(name) for name in _CODES)
    return frozenset(value.lower() for value in values if isinstance(value, str) and value)


def _inner_codes(fields: dict[str, Any]) -> frozenset[str]:
    """Azure puts the reason of a filter one level deeper."""
    return _codes(record(fields.get("innererror")))


def _number(fields: dict[str, Any]) -> int:
    for name in ("code", "status_code", "status"):
        value = fields.get(name)
        if isinstance(value, int) and 400 <= value < 600:
            return value
    return 0


def _words(text: str) -> str:
    title = _TITLE.search(text)
    return _said(title.group(1) if title else _TAG.sub(" ", text)) or "nothing"


def _said(text: str) -> str:
    return one_line(clean(text))
