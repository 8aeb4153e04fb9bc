"""The engine plugin: one model of vLLM (V1), hosted by this process."""

import asyncio
import importlib.util
import logging
import time
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar, Final

from prefmill.contracts.chat import Message, Params, Usage
from prefmill.contracts.reasons import EMPTY, REJECTED
from prefmill.engines.text import one_line
from prefmill.engines.vllm import host
from prefmill.engines.vllm.causes import first_raised
from prefmill.engines.vllm.cores import keep_off_workers, use_all_cores
from prefmill.engines.vllm.library import library
from prefmill.engines.vllm.options import VllmOptions
from prefmill.engines.vllm.pace import Pace
from prefmill.engines.vllm.prompts import PLAIN_STOPS, Prompts
from prefmill.engines.vllm.sampling import check_names, held_to, sampling_fields
from prefmill.engines.vllm.stats import VllmMetrics
from prefmill.plugins.engine import ChatRequest, Completion, EngineOptions, TokenLogprobs
from prefmill.plugins.errors import EngineDied, Rejected, Transient, Unusable

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_log: Final = logging.getLogger(__name__)
_PING: Final = (Message(role="user", content="Hello"),)


class VllmEngine:
    """Answers with a model in processes below this one. Its seeds make a retry give the same text
    as far as the hardware's arithmetic does not depend on what else is in the batch."""

    Options: ClassVar[type[EngineOptions]] = VllmOptions

    def __init__(self, options: VllmOptions) -> None:
        self._options = options
        self._engine: Any = None
        self._prompts: Prompts | None = None
        self._adapter: Any = None
        self._pace = Pace(most=1)
        self._defaults: dict[str, Any] = {}
        self._ids = count()
        self._tail: host.ErrorTail | None = None

    @property
    def paid(self) -> bool:
        """Never: it runs here."""
        return False

    def missing(self) -> str | None:
        """vLLM, or what the model's folder lacks."""
        if importlib.util.find_spec("vllm") is None:
            return "the engine vllm needs vLLM, which is not installed: run `make vllm`"
        return host.folder_problem(self._options) or None

    async def start(self) -> None:
        """Load the model. Unusable with the cause if that fails; RecipeError for a template that
        cannot be read."""
        began = time.monotonic()
        self._tail = host.ErrorTail()
        _log.info("loading %s", self._options.model)
        use_all_cores()
        self._engine = await host.started(self._options, self._paced, self._tail)
        self._settle()
        try:
            await self._equip()
        except BaseException:
            await self.stop()
            raise
        _log.info("%s is loaded after %.1f s", self._options.model, time.monotonic() - began)

    async def probe(self, params: Params) -> None:
        """One token."""
        one = params.model_copy(update={"max_tokens": 1, "extra_body": {}})
        fields = sampling_fields(ChatRequest(_PING, one, seed=0), self._defaults)
        request = ChatRequest(_PING, one, seed=0)
        prompt = await self._ready().prompt(request)
        await self._generate(prompt, fields | {"max_tokens": 1}, {})

    def wanted(self, running: int) -> int | None:
        """Calls that keep the scheduler busy. EngineDied if the engine is gone."""
        self._check_alive()
        return self._pace.wanted()

    def metrics(self) -> "CollectorRegistry":
        """vLLM's own metrics."""
        from prometheus_client import CollectorRegistry

        registry = CollectorRegistry()
        registry.register(VllmMetrics())
        return registry

    async def complete(self, request: ChatRequest) -> Completion:
        """Answer one request. Rejected if it is too long, or asks for what vLLM cannot do."""
        self._check_alive()
        prompts = self._ready()
        fields = sampling_fields(request, self._defaults)
        prompt = await prompts.prompt(request)
        fields["max_tokens"] = prompts.room(prompt, request.params.max_tokens)
        if prompts.plain:
            fields["stop"] = [*fields.get("stop", ()), *PLAIN_STOPS]
        output = await self._generate(prompt, fields, held_to(request, self._options))
        return self._completion(output, len(prompt["prompt_token_ids"]))

    async def stop(self) -> None:
        """End the engine's processes; its device's memory is free afterwards."""
        engine, self._engine, self._prompts = self._engine, None, None
        if engine is not None:
            await asyncio.to_thread(engine.shutdown)
            self._settle()

    def _settle(self) -> None:
        """Leave the cores on which models of this process compute to them. A GPU's workers may be
        bound to cores near it, where this process does well too."""
        if host.on_cpu():
            keep_off_workers()

    def _paced(self, most: int) -> Pace:
        self._pace = Pace(most)
        return self._pace

    async def _equip(self) -> None:
        """What a running engine needs before it answers."""
        assert self._tail is not None, "set by start"
        self._prompts = Prompts(self._engine, self._options)
        self._defaults = dict(self._engine.model_config.get_diff_sampling_param())
        self._defaults.pop("max_tokens", None)
        self._adapter = await host.adapter(self._engine, self._options, self._tail)

    def _ready(self) -> Prompts:
        if self._prompts is None:
            raise Unusable(f"{self._options.model} is not loaded")
        return self._prompts

    def _check_alive(self) -> None:
        if self._engine is not None and self._engine.errored:
            raise EngineDied(self._last_words())

    def _last_words(self) -> str:
        said = first_raised(self._tail.text()) if self._tail else ""
        cause = one_line(said) or "a process of it was killed; was there too little memory?"
        return f"the engine of {self._options.model} has died: {cause}"

    async def _generate(self, prompt: Any, fields: dict[str, Any], held: dict[str, Any]) -> Any:
        params = _sampling_params(fields, held)
        try:
            async with asyncio.timeout(self._options.timeout_s):
                return await self._last_output(prompt, params)
        except library("v1.engine.exceptions").EngineDeadError as error:
            raise EngineDied(self._last_words()) from error
        except TimeoutError as error:
            raise Transient(f"no answer within {self._options.timeout_s:g} s") from error
        except Exception as error:
            self._check_alive()
            cause = error.__cause__ or error
            raise Rejected(REJECTED, one_line(f"vLLM refuses the request: {cause}")) from error

    async def _last_output(self, prompt: Any, params: Any) -> Any:
        """The whole answer: vLLM sends it once, when it is finished."""
        last: Any = None
        async for output in self._engine.generate(
            prompt, params, str(next(self._ids)), lora_request=self._adapter
        ):
            last = output
        return last.outputs[0]

    def _completion(self, output: Any, prompt_tokens: int) -> Completion:
        usage = Usage(input_tokens=prompt_tokens, output_tokens=len(output.token_ids))
        if not output.text.strip():
            said = f"the answer is empty (finish reason {output.finish_reason})"
            raise Rejected(EMPTY, said, usage=usage, model=self._options.model, raw=output.text)
        return Completion(
            text=output.text,
            finish_reason=output.finish_reason or "",
            model=self._options.model,
            usage=usage,
            logprobs=_logprobs(output),
        )


def _sampling_params(fields: dict[str, Any], held: dict[str, Any]) -> Any:
    """Rejected if vLLM does not take them."""
    its = library("sampling_params")
    check_names(fields, frozenset(its.SamplingParams.__struct_fields__))
    try:
        structured = its.StructuredOutputsParams(**held) if held else None
        kind = its.RequestOutputKind.FINAL_ONLY
        return its.SamplingParams(**fields, structured_outputs=structured, output_kind=kind)
    except (ValueError, TypeError) as error:
        raise Rejected(REJECTED, one_line(f"sampling parameters: {error}")) from error


def _logprobs(output: Any) -> tuple[TokenLogprobs, ...]:
    places = zip(output.token_ids, output.logprobs or (), strict=False)
    return tuple(_place(place[token], place) for token, place in places)


def _place(chosen: Any, place: Any) -> TokenLogprobs:
    ranked = sorted(place.values(), key=lambda one: one.rank)
    top = tuple((one.decoded_token or "", float(one.logprob)) for one in ranked)
    return TokenLogprobs(chosen.decoded_token or "", float(chosen.logprob), top)
