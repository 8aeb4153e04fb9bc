"""Functions of a recipe's own file become plugins; what is said of one that cannot be used."""

import json
import re
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml

import prefmill.plugins
from prefmill.cli.client import Client
from prefmill.cli.recipes.load import load
from prefmill.cli.sending import sent
from prefmill.contracts.chat import Message
from prefmill.contracts.recipe import Pairing, Recipe
from prefmill.contracts.rows import FinishedRow, Generation, Prompt
from prefmill.contracts.work import JudgeBatch, JudgeRow
from prefmill.coordinator.domain.places import refuse_places
from prefmill.coordinator.domain.resolved import resolve
from prefmill.judge.domain.shelf import Shelf
from prefmill.plugins import registry
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.files import loaded, plugin_files, sha256_of
from prefmill.plugins.format import FormatContext, ScoredRow
from prefmill.plugins.outputs import formats_of
from prefmill.plugins.pool import pools_of
from prefmill.plugins.rubric import annotation_of
from prefmill.plugins.transform import Chain, transforms_of

MINE = """
import prefmill.plugins


@prefmill.plugins.pool
def lenient(ratings, *, bonus: float = 0.0):
    return [max((r for r in column if r is not None), default=None) for column in zip(*ratings)]


@prefmill.plugins.transform
def short(row, *, most: int = 5):
    return len(row["instruction"]) <= most


@prefmill.plugins.transform(name="mark-it")
def mark(row):
    row["metadata"]["seen"] = True
    return row


@prefmill.plugins.format(columns={"prompt": str, "best": float, "texts": [str]})
def flat(row):
    if row["margin"] == 0:
        return "tie"
    if row["best"] < 2:
        return None
    return {"prompt": row["instruction"], "best": row["best"], "texts": row["generations"]}


@prefmill.plugins.rubric(
    scale=(1, 5), aspects={"tone": "How it sounds.", "depth": "…"}, user="{{ generations }}",
    people=["generations"],
)
def stars(answer, *, sign: str = "*"):
    if "silence" in answer:
        return None
    return answer.count(sign), "stars counted"
"""


HEAD = "import prefmill.plugins as p\n\n"


def write(folder: Path, text: str = MINE, name: str = "mine.py") -> Path:
    path = folder / name
    path.write_text(dedent(text))
    return path


def recipe(**changes: object) -> dict[str, object]:
    return {
        "name": "own",
        "plugins": ["./mine.py"],
        "source": {"inline": ["One", "Long one", "Two"]},
        "transforms": [{"short": 4}, "mark-it"],
        "models": {"a": {"engine": "simulated", "model": "a"}},
        "judges": {"j": {"engine": "simulated", "model": "j"}},
        "judge": {"rubric": {"stars": "+"}},
        "pool": {"judges": "lenient"},
        "output": {"formats": ["raw", "flat"]},
        **changes,
    }


def read(folder: Path, **changes: object) -> Recipe:
    path = folder / "r.yaml"
    path.write_text(yaml.safe_dump(recipe(**changes)))
    return load(path).recipe


def scored(*scores: float | None) -> ScoredRow:
    generations = tuple(Generation(model=f"m{i}", text=f"{i}") for i in range(len(scores)))
    prompt = Prompt(id="7", messages=(Message(role="user", content="Hi"),), metadata={"a": 1})
    return ScoredRow(FinishedRow(position=0, prompt=prompt, generations=generations), scores)


def test_a_file_beside_the_recipe_brings_plugins_of_four_groups(tmp_path: Path) -> None:
    path = write(tmp_path)
    made = read(tmp_path)
    assert made.plugins == {str(path): sha256_of(path.read_bytes())}
    resolved = resolve(made)
    rows = [(row.failure and row.failure.reason, row.metadata) for row in resolved.prompts()]
    assert rows == [(None, {"seen": True}), ("by-short", {}), (None, {"seen": True})]
    assert resolved.rubrics[0].options == {"sign": "+"}
    assert resolved.rubrics[0].rubric.aspects == ("tone", "depth")


def test_a_marked_function_stays_a_function() -> None:
    @prefmill.plugins.pool
    def mine(ratings: list[list[float]]) -> list[float]:
        return ratings[0]

    assert mine([[1.0]]) == [1.0]


def test_a_recipe_without_the_file_does_not_know_its_plugins(tmp_path: Path) -> None:
    write(tmp_path)
    resolve(read(tmp_path))
    with pytest.raises(RecipeError, match="no pool named 'lenient'"):
        resolve(read(tmp_path, plugins=[]))


def test_two_recipes_may_use_one_name_for_different_functions(tmp_path: Path) -> None:
    scores: list[float | None] = []
    for number in (1, 2):
        (folder := tmp_path / str(number)).mkdir()
        body = f"{HEAD}@p.pool\ndef one(ratings):\n    return [{number}]\n"
        write(folder, body)
        made = read(folder, transforms=[], judge={"rubric": "critique"}, pool="one", output={})
        with plugin_files(made.plugins):
            scores += pools_of(made.pool, ("j",), ("x",))[0].score([[5.0]])
        resolve(made)
    assert scores == [1, 2]


def test_a_pool_scores_and_one_that_cannot_names_file_and_line(tmp_path: Path) -> None:
    text = f"{HEAD}@p.pool\ndef bad(ratings):\n    return [sum(ratings[0])]\n"
    path, broken = write(tmp_path), write(tmp_path, text, "bad.py")
    with plugin_files({str(path): "", str(broken): ""}):
        pool = registry.load("pools", "lenient")
        made = pool(registry.options_of(pool, {"lenient": 2}, "pool.judges"))
        assert made.score([[1, None, 3], [2, None, None]]) == (2, None, 3)
        with pytest.raises(RecipeError, match=r"pool\.judges\.lenient: .*number"):
            registry.options_of(pool, {"lenient": "much"}, "pool.judges")
        with pytest.raises(RecipeError, match="unknown key"):
            registry.options_of(pool, {"malus": 1}, "pool.judges")
        bad = registry.load("pools", "bad")
        worse = bad(registry.options_of(bad, {}, "pool.judges"))
        with pytest.raises(RecipeError, match=r"bad\.py:5: bad: TypeError"):  # the line that raised
            worse.score([[1.0, None]])
        with pytest.raises(RecipeError, match=r"bad\.py:3: bad: ValueError: 1 scores for 2"):
            worse.score([[1.0, 2.0]])


def test_a_format_writes_records_ties_and_drops_with_a_schema(tmp_path: Path) -> None:
    import pyarrow as pa

    with plugin_files({str(write(tmp_path)): ""}):
        context = FormatContext(("j",), ("tone",), Pairing(), 0)
        output = Recipe.model_validate(recipe(output={"formats": ["flat"]})).output
        form = formats_of(output, context)[0]
    schema = form.configs()["flat"]()
    assert schema.names == ["id", "prompt", "best", "texts", "metadata"]
    written = form.write(scored(4, 1))["flat"]
    assert written.outcome == "out"
    assert pa.Table.from_pylist(list(written.records), schema=schema).to_pylist() == [
        {"id": "7", "prompt": "Hi", "best": 4.0, "texts": ["0", "1"], "metadata": '{"a":1}'}
    ]
    assert form.write(scored(3, 3))["flat"].outcome == "tie"
    assert form.write(scored(1, 0))["flat"].reason == "by-flat"
    dropped = ScoredRow(scored(1, 0).row, (None, None), dropped="too-few-verdicts")
    assert form.write(dropped)["flat"].reason == "too-few-verdicts"


def test_a_rubric_asks_by_its_templates_and_reads_by_the_function(tmp_path: Path) -> None:
    write(tmp_path)
    rubric = resolve(read(tmp_path)).rubrics[0].rubric
    row = JudgeRow(row=0, instruction="Hi", generations=("one", "two"), cells=())
    question = rubric.ask(row, "tone", (1,))
    assert "two" in question.messages[-1].content
    assert question.schema is None
    readings = [rubric.read("tone", answer, 1)[0] for answer in ("+++", "++++++", "silence")]
    assert [(r.rating, r.status, r.rationale) for r in readings] == [
        (3, "rated", "stars counted"),
        (None, "out-of-range", "stars counted"),
        (None, "missing-rating", None),
    ]
    people = annotation_of(rubric, "tone")
    assert people.guidelines == "tone: How it sounds. (1 to 5)"
    assert [field.of for field in people.fields] == ["generations"]


@pytest.mark.parametrize(
    ("old", "new", "asked_again"),
    [
        ("answer.count(sign)", "answer.count(sign) + 0", True),
        ("import prefmill.plugins", "import math\nimport prefmill.plugins", True),
        ("max((r for", "min((r for", False),
        ("import prefmill", "# A comment.\n\nimport prefmill", False),
    ],
)
def test_judges_are_asked_again_only_when_what_reads_their_answers_has_changed(
    tmp_path: Path, old: str, new: str, *, asked_again: bool
) -> None:
    write(tmp_path)
    before = resolve(read(tmp_path))
    write(tmp_path, MINE.replace(old, new))
    after = resolve(read(tmp_path))
    assert before.recipe.plugins != after.recipe.plugins, "a changed file is a changed recipe"
    prints = [made.rubrics[0].rubric.fingerprint() for made in (before, after)]
    assert (prints[0] != prints[1]) is asked_again


def test_a_file_that_has_changed_since_is_not_run(tmp_path: Path) -> None:
    path = write(tmp_path)
    made = read(tmp_path)
    write(tmp_path, MINE + "\n# changed\n")
    fresh = tmp_path / "fresh.py"
    fresh.write_text(path.read_text())
    with pytest.raises(RecipeError, match=r"fresh\.py: it has changed since the recipe was sub"):
        loaded(str(fresh), next(iter(made.plugins.values())))
    kept = json.loads(made.model_dump_json())
    assert Recipe.model_validate(kept).plugins == made.plugins


def test_a_recipe_that_holds_the_hash_wants_that_very_file(tmp_path: Path) -> None:
    path = write(tmp_path)
    assert read(tmp_path, plugins={"mine.py": sha256_of(path.read_bytes())}).plugins
    with pytest.raises(RecipeError, match=r"r\.yaml:\d+: plugins: .*not the file of this recipe"):
        read(tmp_path, plugins={"mine.py": "0" * 64})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import absent_library\n", ":1: cannot be imported: ModuleNotFoundError: No module"),
        ("x = 1\nx = (\n", ":2: cannot be imported: SyntaxError"),
        ("import sys\nsys.exit(3)\n", ":2: cannot be imported: SystemExit: 3"),
        ("x = 1\n", "no function in it is a plugin; mark one"),
        ("@p.pool\ndef mean(ratings):\n    return []\n", "there is a pool named 'mean' already"),
        ("@p.pool\ndef f(a, b):\n    return []\n", "f(a, b): a function of the group pools takes"),
        ("@p.pool\ndef f():\n    return []\n", "f(): a function of the group pools takes one"),
        ("@p.transform\ndef f(row, *, n):\n    return []\n", "the option 'n' needs a default"),
        (
            "@p.format\ndef f(row):\n    return None\n",
            "mine.py:3: cannot be imported: TypeError: say",
        ),
        ("@p.format(columns={'a': set})\ndef f(row):\n    return None\n", "'a' is <class 'set'>"),
        ("@p.rubric\ndef f(row):\n    return None\n", "TypeError: say what is asked"),
        (
            "@p.rubric(user='{{ x }}', scale=(1, 2))\ndef f(a):\n    return\n",
            "unknown variable 'x'",
        ),
        ("@p.rubric(user='{{ generations }}')\ndef f(a):\n    return 1\n", "scale: missing"),
        ("@p.pool\nclass f:\n    pass\n", "a plugin of a file is a function, not"),
        (
            "@p.pool\ndef f(a):\n    return a\n\n@p.pool(name='f')\ndef g(a):\n    return a\n",
            "the file has two pools named 'f'",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_told_with_its_line(
    tmp_path: Path, text: str, said: str
) -> None:
    path = write(tmp_path, f"{HEAD}{text}" if "@" in text else text)
    changes = {"transforms": [], "pool": "mean", "output": {}, "judge": {"rubric": "critique"}}
    if "rubric" in text:
        changes |= {"judge": {"rubric": "f"}}
    with pytest.raises(RecipeError) as caught:
        resolve(read(tmp_path, **changes))
    assert str(path) in str(caught.value)
    assert said in str(caught.value)
    assert len(caught.value.problems) == 1


def test_a_file_that_is_not_there_is_told_with_the_line_of_the_recipe(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"r\.yaml:\d+: plugins: .*mine\.py: there is no such"):
        read(tmp_path)


def test_two_files_with_a_plugin_of_one_name_are_refused(tmp_path: Path) -> None:
    write(tmp_path)
    write(tmp_path, MINE, "other.py")
    with pytest.raises(RecipeError, match="another file has a"):
        resolve(read(tmp_path, plugins=["mine.py", "other.py"]))


def test_a_recipe_that_came_over_the_network_may_name_no_file(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(RecipeError, match=r"plugins: .*mine\.py' is code, which a recipe from"):
        refuse_places(read(tmp_path))


def test_a_judge_loads_files_only_where_it_is_told_to(tmp_path: Path) -> None:
    write(tmp_path)
    made = resolve(read(tmp_path)).rubrics[0]
    batch = JudgeBatch(
        id="1", run=1, slot=1, lane="l", lane_digest="d", rows=(),
        rubric=made.name, rubric_options=made.options, plugins=made.files,
    )  # fmt: skip
    assert Shelf(plugin_files=True).rubric_of(batch).fingerprint() == made.rubric.fingerprint()
    with pytest.raises(RecipeError, match="'stars' is in a file, and this judge loads none"):
        Shelf().rubric_of(batch)


def test_a_transform_that_returns_no_row_costs_that_row(tmp_path: Path) -> None:
    text = f"{HEAD}@p.transform\ndef odd(row):\n    return 3\n"
    with plugin_files({str(write(tmp_path, text)): ""}):
        chain = Chain(transforms_of([{"odd": None}], "transforms"))
    failure = chain.prompt(scored().row.prompt).failure
    assert failure is not None
    assert failure.reason == "transform-failed"
    assert "mine.py:3: gave int, no row and no truth value" in failure.detail


def test_a_transform_that_raises_tells_the_line_that_did(tmp_path: Path) -> None:
    text = f"{HEAD}def of(row):\n    return row['no']\n\n"
    text += "@p.transform\ndef odd(row):\n    return of(row)\n"
    with plugin_files({str(write(tmp_path, text)): ""}):
        chain = Chain(transforms_of([{"odd": None}], "transforms"))
    failure = chain.prompt(scored().row.prompt).failure
    assert failure is not None
    assert failure.detail == "transforms.0 (odd, mine.py:4): KeyError: 'no'"


def test_the_functions_of_the_page_are_plugins(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "plugins.md").read_text()
    pool, others, *package = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    named = loaded(str(write(tmp_path, pool + others)))
    assert {name for _, name in named} == {
        "second_best", "german", "shorter_is_better", "listwise", "stars",
    }  # fmt: skip
    recipe = yaml.safe_load(page.split("```yaml\n")[1].split("```")[0])
    with plugin_files({str(tmp_path / "mine.py"): ""}):
        made, options = registry.named_options("pools", recipe["pool"]["judges"], "pool")
    assert made(options).score([[1.0, 1.0], [2.0, None], [3.0, 5.0]]) == (2, None)
    names: dict[str, Any] = {}
    exec("".join(package), names)  # noqa: S102 - our own page
    SecondBest = names["SecondBest"]  # noqa: N806
    classed = SecondBest(SecondBest.Options.model_validate({"second-best": 3}))
    assert classed.score([[1.0, 1.0], [2.0, None], [3.0, 5.0]]) == (2, None)


def test_a_recipe_with_a_file_is_not_sent_to_a_coordinator_elsewhere(tmp_path: Path) -> None:
    write(tmp_path)
    nobody = Client("http://127.0.0.1:1")
    with pytest.raises(RecipeError, match=r"plugins: .*mine\.py' is code"):
        sent(read(tmp_path), nobody, print)
