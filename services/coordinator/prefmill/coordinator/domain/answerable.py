"""A row that brings no answer, and for which nobody is to answer, cannot be used. Pure."""

from prefmill.contracts.chat import Failure
from prefmill.contracts.reasons import MISSING_RESPONSES
from prefmill.contracts.rows import Prompt


def refused_if_silent(prompt: Prompt, *, anybody: bool) -> Prompt:
    """The prompt; a failed one if none of its `responses` holds text and nothing is generated for
    it: blank responses were to be judged, and without any there must be `anybody` to answer."""
    given = prompt.responses
    if prompt.failure is not None or any(response.text for response in given):
        return prompt
    if given:
        names = ", ".join(response.model for response in given)
        detail = f"none of its `responses` ({names}) holds text"
    elif anybody:
        return prompt
    else:
        detail = "it has no `responses`, and the recipe no `models` to answer"
    return prompt.replace(failure=Failure(reason=MISSING_RESPONSES, detail=detail))
