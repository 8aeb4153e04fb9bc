"""From a request's parameters to vLLM's SamplingParams, by their own names."""

from collections.abc import Mapping
from typing import Any, Final, cast

from pydantic import JsonValue

from prefmill.contracts.chat import Params
from prefmill.contracts.reasons import REJECTED
from prefmill.engines.vllm.options import VllmOptions
from prefmill.plugins.engine import ChatRequest
from prefmill.plugins.errors import Rejected
from prefmill.plugins.registry import nearest

SEED_BITS: Final = (1 << 31) - 1
"""As the engine `openai` sends them, so that both give the same text."""

_NAMED: Final = (
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
)
_HELD: Final = ("json", "regex", "choice", "grammar", "json_object", "structural_tag")
_PREFIX: Final = "guided_"
_NOT_SETTABLE: Final = frozenset({"n", "seed", "output_kind", "skip_clone", "detokenize", "stop"})


def sampling_fields(request: ChatRequest, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of SamplingParams: the model's own defaults, the named parameters, then the further
    ones in `extra_body`."""
    params = request.params
    named = {name: getattr(params, name) for name in _NAMED}
    fields = dict(defaults) | {name: value for name, value in named.items() if value is not None}
    fields["seed"] = request.seed & SEED_BITS
    if params.stop:
        fields["stop"] = list(params.stop)
    if request.logprobs is not None:
        fields["logprobs"] = request.logprobs
    return fields | _further(params)


def held_to(request: ChatRequest, options: VllmOptions) -> dict[str, JsonValue]:
    """What the answer is held to, as fields of StructuredOutputsParams; empty if nothing: what
    the request says, or else the rubric's schema, or else the options."""
    said = request.params.extra_body
    given: JsonValue = said.get("structured_outputs")
    if isinstance(given, dict):
        return given
    for kind in _HELD:
        value = said.get(kind, said.get(_PREFIX + kind))
        if value is not None:
            return {kind: value}
    if request.schema is not None and options.structured:
        return {"json": request.schema}
    if options.regex is not None:
        return {"regex": options.regex}
    return {"choice": [*options.choice]} if options.choice else {}


def template_variables(params: Params) -> dict[str, JsonValue]:
    """What `extra_body` says of the chat template."""
    said = params.extra_body.get("chat_template_kwargs")
    return said if isinstance(said, dict) else {}


def _further(params: Params) -> dict[str, Any]:
    """The tokens of a logit bias are numbers, which JSON does not have for keys."""
    ours = {"structured_outputs", "chat_template_kwargs", *_HELD, *(_PREFIX + k for k in _HELD)}
    said: dict[str, Any] = {n: v for n, v in params.extra_body.items() if n not in ours}
    bias = said.get("logit_bias")
    if isinstance(bias, dict):
        numbered = cast("dict[str, float]", bias)
        said["logit_bias"] = {int(t): v for t, v in numbered.items() if t.isdecimal()}
    return said


def check_names(fields: Mapping[str, Any], known: frozenset[str]) -> None:
    """Rejected if vLLM knows no such sampling parameter, or it is not a recipe's to set."""
    settable = {name for name in known - _NOT_SETTABLE if not name.startswith("_")}
    for name in fields.keys() - settable - {"seed", "stop"}:
        hint = nearest(name, settable)
        raise Rejected(REJECTED, f"extra_body.{name}: no sampling parameter of vLLM{hint}")
