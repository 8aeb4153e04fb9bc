"""Small expressions over the fields of a row, in Jinja's syntax: no Python, no statements, no
function but those named here, and nothing that makes much out of little.

An expression may come over the network. Beside what the sandbox keeps out, text cannot be
multiplied, formatted, joined or replaced, so that none can fill the memory.
"""

from collections.abc import Mapping
from typing import Any, Final

from jinja2 import StrictUndefined, TemplateError, nodes
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from prefmill.plugins.records import SCORED_FIELDS
from prefmill.plugins.registry import nearest

MOST_CHARS: Final = 2_000


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FILTERS: Final = _words(
    "abs count default first float int last length list lower map max min reject rejectattr round "
    "select selectattr sort string sum trim unique upper wordcount"
)

_METHODS: Final[Mapping[type, frozenset[str]]] = {
    str: _words(
        "count endswith find isascii isdigit islower isupper lower lstrip rstrip split splitlines "
        "startswith strip upper"
    ),
    dict: _words("get items keys values"),
    list: _words("count index"),
}

_FAULTS: Final = (TemplateError, ArithmeticError, LookupError, RecursionError, TypeError)


class _Fields(ImmutableSandboxedEnvironment):
    """Only what is listed above, and arithmetic of numbers."""

    intercepted_binops = frozenset(("*", "**", "%"))

    def is_safe_attribute(self, obj: object, attr: str, value: Any) -> bool:
        del value
        return attr in _METHODS.get(type(obj), ())

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" or not all(isinstance(each, int | float) for each in (left, right)):
            raise TypeError(f"{operator!r} is for numbers only, and powers are left out")
        return super().call_binop(context, operator, left, right)


def _fields() -> _Fields:
    made = _Fields(undefined=StrictUndefined, autoescape=False)
    made.globals = {}
    made.filters = {name: made.filters[name] for name in FILTERS}
    return made


_FIELDS: Final = _fields()


class Expression:
    """One compiled expression. ValueError says why it is none."""

    def __init__(self, source: str) -> None:
        if len(source) > MOST_CHARS:
            raise ValueError(f"{len(source)} characters, at most {MOST_CHARS}")
        try:
            self.names = _names(source)
            self._compiled = _FIELDS.compile_expression(source, undefined_to_none=False)
        except _FAULTS as error:
            raise ValueError(str(error)) from error
        for name in sorted(self.names - set(SCORED_FIELDS)):
            raise ValueError(
                f"a row has no field {name!r}{nearest(name, SCORED_FIELDS)} "
                "(columns of the source are `metadata.NAME`)"
            )

    def holds(self, row: Mapping[str, Any]) -> bool:
        """Whether it is true of a row. Raises what a wrong expression raises."""
        return bool(self._compiled(**row))


def _names(source: str) -> frozenset[str]:
    parser = Parser(_FIELDS, source, state="variable")
    whole = nodes.Output([parser.parse_expression()])
    return frozenset(name.name for name in whole.find_all(nodes.Name))
