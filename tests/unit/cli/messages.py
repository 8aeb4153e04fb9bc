"""Messages as their own code reads and writes them, whichever kind of model they are."""

import json
from typing import Any

from prefmill.contracts.base import Frozen, Wire

Kind = type[Frozen] | type[Wire]


def read(kind: Kind, example: dict[str, Any]) -> Frozen | Wire:
    """The message as a service has it."""
    text = json.dumps(example)
    return kind.read(text) if issubclass(kind, Wire) else kind.model_validate_json(text)


def whole(message: Frozen | Wire) -> Any:
    """All its fields."""
    plain = message.plain() if isinstance(message, Wire) else message.model_dump(mode="json")
    return json.loads(json.dumps(plain))


def written(message: Frozen | Wire) -> Any:
    """What goes over the wire."""
    return json.loads(message.json() if isinstance(message, Wire) else message.model_dump_json())


def said_of(known: Any, example: Any) -> Any:
    """What is known of that which an example says."""
    if isinstance(example, dict):
        return {key: said_of(known[key], value) for key, value in example.items()}
    if isinstance(example, list):
        return [said_of(one, other) for one, other in zip(known, example, strict=True)]
    return known
