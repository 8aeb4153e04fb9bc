"""Of rows with one id, the first is used. Pure."""

from prefmill.contracts.chat import Failure
from prefmill.contracts.reasons import DUPLICATE_ID
from prefmill.contracts.rows import Prompt


def refused_if_taken(prompt: Prompt, taken: set[str]) -> Prompt:
    """The prompt; a failed one if its id is among `taken`, to which it is added."""
    if prompt.id in taken and prompt.failure is None:
        detail = f"an earlier row has the id {prompt.id!r}"
        detail += "; a row without an id has its number" if prompt.id.isdecimal() else ""
        failure = Failure(reason=DUPLICATE_ID, detail=detail)
        prompt = prompt.replace(failure=failure)
    taken.add(prompt.id)
    return prompt
