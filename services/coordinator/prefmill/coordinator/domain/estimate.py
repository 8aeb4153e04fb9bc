"""What a recipe would call, in about how many tokens, for about how much. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, islice
from types import MappingProxyType
from typing import Final

from prefmill.contracts.api import RunPlan, SlotPlan
from prefmill.contracts.rows import Prompt
from prefmill.contracts.work import JudgeRow
from prefmill.coordinator.domain.duplicates import refused_if_taken
from prefmill.coordinator.domain.missing import lacking
from prefmill.coordinator.domain.prices import VARIABLE, context_of, price_of
from prefmill.coordinator.domain.resolved import Resolved, ResolvedModel
from prefmill.coordinator.domain.rubrics import ResolvedRubric
from prefmill.ledger.desired import subsets
from prefmill.plugins.principles import OTHERS, WHERE, source_of
from prefmill.plugins.registry import nearest

CHARS_PER_TOKEN: Final = 4
TOKENS_PER_MESSAGE: Final = 4
USUAL_ANSWER: Final = 400
"""Tokens of an answer, as a judge will read it, where nothing limits it further."""
UNLIMITED_ANSWER: Final = 1024
"""Tokens an answer may have at most where no `max_tokens` is given."""
SAMPLE: Final = 2_000
COUNTED: Final = 100_000
STRIDE: Final = 16
"""Of the usable rows after the sample, the first of each so many is looked at for all of them."""


@dataclass
class _Sum:
    """Calls of one model or judge over the sampled rows, and the longest single call."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    longest: int = 0
    texts: int = 0

    def add(self, calls: int, input_tokens: int, output_tokens: int, texts: int = 0) -> None:
        self.calls += calls
        self.input_tokens += calls * input_tokens
        self.output_tokens += calls * output_tokens
        self.longest = max(self.longest, input_tokens + output_tokens)
        self.texts = max(self.texts, texts)


@dataclass
class _Sample:
    """What was seen of the source."""

    rows: int = 0
    weight: int = 1
    """How many rows the one that is looked at stands for."""
    usable: int = 0
    unusable: Counter[str] = field(default_factory=Counter)
    """Why, and how often."""
    reasons: Counter[str] = field(default_factory=Counter)
    """The same without the particulars."""
    sums: dict[tuple[str, str], _Sum] = field(default_factory=dict)
    sources: set[str | None] = field(default_factory=set)
    """Where usable rows come from."""


def estimate(
    resolved: Resolved,
    prompts: Iterable[Prompt],
    *,
    sample: int = SAMPLE,
    drawn: Mapping[int, Sequence[str]] = MappingProxyType({}),
) -> RunPlan:
    """The plan of a recipe from its prompts: all of the first `sample`, which the rest is taken to
    be like where the source knows its size. Where it does not, is a mix or is transformed, some of
    the rest are looked at as well, up to COUNTED rows. Four characters make a token.

    Answers are counted at their `max_tokens`, so a cost is an upper bound as far as they go.
    `drawn` are the models of rows that are stored, by position.
    """
    size = resolved.source.size()
    most = COUNTED if size is None or _varied(resolved) else sample
    seen = _look(resolved, islice(prompts, most), sample, drawn)
    rows = seen.rows if seen.rows < most else size
    scale = (rows or max(seen.rows, COUNTED)) / seen.rows if seen.rows else 0.0
    slots = [
        _slot(resolved, model, seen.sums[model.kind, model.label], scale)
        for model in (*resolved.models, *resolved.judges)
    ]
    return RunPlan(
        rows=rows,
        slots=tuple(slots),
        problems=tuple(_problems(resolved, rows, seen)),
        warnings=(*_left_out(rows, seen), *(_unmet(resolved, seen) if rows == seen.rows else ())),
    )


def _varied(resolved: Resolved) -> bool:
    """Whether later rows may well be unlike the first."""
    return "mix" in resolved.recipe.source or bool(resolved.transforms)


def tokens_in(text: str) -> int:
    """About how many tokens a text has."""
    return -(-len(text) // CHARS_PER_TOKEN)


def _look(
    resolved: Resolved,
    prompts: Iterable[Prompt],
    sample: int,
    drawn: Mapping[int, Sequence[str]],
) -> _Sample:
    seen = _Sample()
    for model in (*resolved.models, *resolved.judges):
        seen.sums[model.kind, model.label] = _Sum()
    asked = {made.label: _question_tokens(made) for made in resolved.rubrics}
    late = count()
    taken: set[str] = set()
    for position, read in enumerate(prompts):
        prompt = refused_if_taken(read, taken)
        seen.rows += 1
        if prompt.failure:
            seen.unusable[f"{prompt.failure.reason}: {prompt.failure.detail}"] += 1
            seen.reasons[prompt.failure.reason] += 1
            continue
        seen.usable += 1
        seen.sources.add(source_of(prompt))
        if position >= sample:
            seen.weight = STRIDE
            if next(late) % STRIDE:
                continue
        texts = _answers(resolved, seen, drawn.get(position), position, prompt)
        for made in resolved.rubrics:
            if len(texts) >= resolved.least_generations(made.shows):
                _verdicts(resolved, seen, prompt, texts, made, asked[made.label])
    return seen


def _answers(
    resolved: Resolved,
    seen: _Sample,
    stored: Sequence[str] | None,
    position: int,
    prompt: Prompt,
) -> list[int]:
    """Adds a row's answers; gives the tokens of each text that will be judged."""
    if prompt.responses:
        return [tokens_in(given.text) for given in prompt.responses if given.text]
    if resolved.sampler is None:
        return []
    read = sum(tokens_in(m.content) + TOKENS_PER_MESSAGE for m in prompt.messages)
    if prompt.messages[0].role != "system" and resolved.recipe.generate.system:
        read += tokens_in(resolved.recipe.generate.system) + TOKENS_PER_MESSAGE
    read += _told_tokens(resolved)
    by_alias = {model.alias: model for model in resolved.models}
    aliases = resolved.sampler.draw(position) if stored is None else stored
    drawn = [by_alias[alias] for alias in aliases if alias in by_alias]
    for model in drawn:
        most = model.params.max_tokens or UNLIMITED_ANSWER
        seen.sums["generate", model.label].add(seen.weight * model.spec.samples, read, most)
    return [
        min(USUAL_ANSWER, model.params.max_tokens or USUAL_ANSWER)
        for model in drawn
        for _ in range(model.spec.samples)
    ]


def _told_tokens(resolved: Resolved) -> int:
    """Tokens of the principle that each answer is told, on average over all wordings."""
    principles = resolved.principles
    told = [t for texts in principles.wordings.values() for t in texts] if principles else []
    return sum(map(tokens_in, told)) // len(told) if told else 0


def _verdicts(
    resolved: Resolved,
    seen: _Sample,
    prompt: Prompt,
    texts: Sequence[int],
    made: ResolvedRubric,
    asked: int,
) -> None:
    sets = subsets(made.shows, len(texts))
    each = sum(texts[index] for shown in sets for index in shown) // len(sets)
    read = asked + each + sum(tokens_in(m.content) for m in prompt.messages)
    written = len(sets[0]) * made.rubric.tokens_per_text
    for judge in resolved.judges_with(made):
        most = min(written, judge.params.max_tokens or written)
        calls = seen.weight * len(made.rubric.aspects) * len(sets) * judge.spec.samples
        seen.sums["judge", judge.label].add(calls, read, most, len(sets[0]))


def _question_tokens(made: ResolvedRubric) -> int:
    """Tokens of what a judge is told besides prompt and texts, on average over the aspects."""
    rubric = made.rubric
    row = JudgeRow(row=0, instruction="", generations=("", ""), cells=())
    shown = subsets(made.shows, 2)[0]
    questions = [rubric.ask(row, aspect, shown).messages for aspect in rubric.aspects]
    tokens = [tokens_in(m.content) + TOKENS_PER_MESSAGE for asked in questions for m in asked]
    return sum(tokens) // max(1, len(questions))


def _slot(resolved: Resolved, model: ResolvedModel, sums: _Sum, scale: float) -> SlotPlan:
    price = price_of(model)
    read, written = round(sums.input_tokens * scale), round(sums.output_tokens * scale)
    cost = (read * price.input + written * price.output) / 1e6 if price else None
    return SlotPlan(
        kind=model.kind,
        alias=model.label,
        model=model.model,
        calls=round(sums.calls * scale),
        stored=0,
        input_tokens=read,
        output_tokens=written,
        cost_usd=cost,
        paid=price is None or price.input > 0 or price.output > 0,
        warnings=tuple(_warnings(model, sums)),
    )


def _warnings(model: ResolvedModel, sums: _Sum) -> Iterator[str]:
    if price_of(model) is None:
        yield (
            f"no price is known for {model.model}: its cost is not counted; give it a "
            f"`price: {{input: …, output: …}}`, or a table with {VARIABLE}"
        )
    context = context_of(model)
    if context and sums.longest > context:
        yield (
            f"the longest call has about {sums.longest:,} tokens, the context of {model.model} "
            f"is {context:,}; such rows will fail"
        )
    if model.rubric and model.params.max_tokens:
        need = sums.texts * model.rubric.rubric.tokens_per_text
        if model.params.max_tokens < need:
            yield (
                f"max_tokens {model.params.max_tokens} may be too few: a verdict on "
                f"{sums.texts} texts takes about {need} tokens; raise judge.params.max_tokens"
            )


def _left_out(rows: int | None, seen: _Sample) -> Iterator[str]:
    if seen.reasons and seen.usable:
        why = ", ".join(f"{number:,} {reason}" for reason, number in seen.reasons.most_common())
        read = f"{'' if rows == seen.rows else 'the first '}{seen.rows:,} rows"
        yield f"source: {seen.reasons.total():,} of {read} will not be used: {why}"


def _unmet(resolved: Resolved, seen: _Sample) -> Iterator[str]:
    """Odds that the recipe writes for a source that no row comes from. Of all rows but those that
    `rows` leaves out."""
    spec, limit = resolved.recipe.generate.principles, resolved.recipe.source.get("rows")
    if spec is None or limit == seen.rows or not seen.usable:
        return
    met = {source for source in seen.sources if source is not None}
    for source in spec.odds:
        if source != OTHERS and source not in met:
            yield f"{WHERE}.odds.{source}: no row has this `source`{nearest(source, met)}"


def _nothing_to_call(resolved: Resolved, seen: _Sample) -> str:
    """Of a recipe without models, whose rows hold responses."""
    if not resolved.judges:
        return "judges: there is nothing to call: no `models`, and nobody to judge the `responses`"
    return (
        f"judge.rubric: there is nothing to judge: none of the first {seen.rows:,} rows holds as "
        "many `responses` as the rubric compares"
    )


def _problems(resolved: Resolved, rows: int | None, seen: _Sample) -> Iterator[str]:
    if rows == 0:
        yield "source: it is empty; there is nothing to do"
    elif not seen.usable:
        why, _ = seen.unusable.most_common(1)[0]
        yield (
            f"source: none of the first {seen.rows} rows can be used ({why}); see --rows, "
            "`columns` and `transforms`"
        )
    elif not resolved.models and not any(sums.calls for sums in seen.sums.values()):
        yield _nothing_to_call(resolved, seen)
    yield from lacking(resolved, lambda model: model.engine.missing())
