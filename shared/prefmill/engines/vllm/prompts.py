"""From a conversation to the tokens of a prompt, by the model's own chat template.

Rendering and tokenizing are vLLM's own, in its threads: the event loop goes on meanwhile.
"""

from pathlib import Path
from typing import Any, Final

from prefmill.contracts.chat import Message
from prefmill.contracts.reasons import REJECTED, TOO_LONG
from prefmill.engines.text import one_line
from prefmill.engines.vllm.library import library
from prefmill.engines.vllm.options import VllmOptions
from prefmill.engines.vllm.sampling import template_variables
from prefmill.plugins.engine import ChatRequest
from prefmill.plugins.errors import RecipeError, Rejected

PLAIN: Final = (
    "{% for m in messages %}"
    "{% if m.role == 'system' %}{{ m.content }}\n\n"
    "{% elif m.role == 'user' %}### Prompt\n{{ m.content }}\n\n"
    "{% else %}### Answer\n{{ m.content }}\n\n{% endif %}"
    "{% endfor %}"
    "### Answer\n"
)
"""For models that were only ever taught to go on with a text."""

PLAIN_STOPS: Final = ("\n### Prompt", "\n### Answer")
"""Where such a model would go on with the conversation by itself."""


class Prompts:
    """Makes prompts for one running engine."""

    def __init__(self, engine: Any, options: VllmOptions) -> None:
        self._renderer = engine.renderer
        self._options = options
        self.longest: int = engine.model_config.max_model_len
        tokenizing = library("renderers.params").TokenizeParams
        self._tokenizing = tokenizing(max_total_tokens=None, add_special_tokens=False)
        self._template = _given(options.chat_template)
        self._folds = False
        self.plain = False
        if self._template is None and not self._has_template(engine.model_config):
            self._template, self.plain = PLAIN, True

    async def prompt(self, request: ChatRequest) -> Any:
        """The prompt as vLLM takes it. Rejected if the template refuses the conversation."""
        if not self._folds:
            try:
                return await self._render(request, request.messages)
            except Exception as error:
                if request.messages[0].role != "system" or not await self._folded_works(request):
                    raise _refused(error) from error
                self._folds = True
        try:
            return await self._render(request, folded(request.messages))
        except Exception as error:
            raise _refused(error) from error

    def room(self, prompt: Any, max_tokens: int | None) -> int:
        """Tokens that an answer may have. Rejected if the prompt leaves too little room."""
        length = len(prompt["prompt_token_ids"])
        if length + (max_tokens or 1) <= self.longest:
            return max_tokens or self.longest - length
        asked = f"and max_tokens {max_tokens}, " if max_tokens else ""
        raise Rejected(
            TOO_LONG,
            f"the prompt has {length} tokens, {asked}the model takes {self.longest} in all "
            "(max_model_len)",
        )

    async def _folded_works(self, request: ChatRequest) -> bool:
        try:
            await self._render(request, folded(request.messages))
        except Exception:  # noqa: BLE001 - the template's own error is the one to be told
            return False
        return True

    async def _render(self, request: ChatRequest, messages: tuple[Message, ...]) -> Any:
        variables = self._options.chat_template_kwargs | template_variables(request.params)
        goes_on = messages[-1].role == "assistant"
        turn = {"add_generation_prompt": not goes_on, "continue_final_message": goes_on}
        params = library("renderers.params").ChatParams(
            chat_template=self._template,
            chat_template_content_format="auto",
            chat_template_kwargs={**turn, **variables},
        )
        spoken = [{"role": m.role, "content": m.content} for m in messages]
        _, prompts = await self._renderer.render_chat_async([spoken], params, self._tokenizing)
        return prompts[0]

    def _has_template(self, model_config: Any) -> bool:
        tokenizer = self._renderer.get_tokenizer()
        if not hasattr(tokenizer, "get_chat_template"):
            return True
        resolve = library("renderers.hf").resolve_chat_template
        found = resolve(tokenizer, None, None, model_config=model_config)
        return found is not None


def folded(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The system prompt put before the first user turn."""
    if messages[0].role != "system" or len(messages) < 2:
        return messages
    system, first, *rest = messages
    return (first.replace(content=f"{system.content}\n\n{first.content}"), *rest)


def _given(template: str | None) -> str | None:
    """A template's text, or that of the file it names."""
    if template is None or "{" in template:
        return template
    try:
        return Path(template).expanduser().read_text()
    except OSError as error:
        raise RecipeError(f"chat_template: {template} cannot be read: {error.strerror}") from error


def _refused(error: Exception) -> Rejected:
    said = one_line(str(error.__cause__ or error))
    return Rejected(REJECTED, f"the model's chat template refuses this conversation: {said}")
