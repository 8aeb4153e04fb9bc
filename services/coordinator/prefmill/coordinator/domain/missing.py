"""What a recipe's models and judges lack before anything is called. Pure."""

from collections.abc import Callable, Iterator

from prefmill.coordinator.domain.resolved import Resolved, ResolvedModel


def lacking(resolved: Resolved, missing: Callable[[ResolvedModel], str | None]) -> Iterator[str]:
    """What keeps a run from beginning, by what is `missing` for a model or judge: nothing of the
    models if the recipe goes on without those that cannot be had, and some model is left."""
    models = {f"models.{model.alias}": missing(model) for model in resolved.models}
    if resolved.recipe.generate.on_unavailable != "wait" and not all(models.values()):
        models = {}
    judges = {f"judges.{judge.alias}": missing(judge) for judge in resolved.judges}
    for where, why in (models | judges).items():
        if why:
            yield f"{where}: {why}"
