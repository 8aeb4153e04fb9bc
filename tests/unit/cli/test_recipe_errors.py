"""What is wrong with a recipe is said with file, line, key, and the nearest known key."""

import ast
import re
from pathlib import Path

import pytest

from prefmill.cli.recipes.load import load
from prefmill.coordinator.domain.resolved import resolve
from prefmill.plugins.errors import RecipeError

GOOD = """\
name: good
source: {inline: [Hello]}
models:
  a: {engine: simulated, model: x}
judges:
  j: {engine: simulated, model: y}
judge:
  rubric: {ultrafeedback: [honesty]}
"""


def problems_of(folder: Path, text: str | bytes, *settings: str) -> list[str]:
    """The problems of a recipe file, its folder's name left out."""
    path = folder / "r.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(RecipeError) as caught:
        load(path, settings)
    return [problem.replace(f"{folder}/", "") for problem in caught.value.problems]


CASES = {
    "a misspelt key": (
        GOOD.replace("source:", "sorce:"),
        [
            (
                "r.yaml: source: this key is missing: Where prompts come from: "
                "`{jsonl: prompts.jsonl}`."
            ),
            "r.yaml:2: sorce: unknown key; did you mean 'source'?",
        ],
    ),
    "a misspelt key far down": (
        GOOD + "generate:\n  params:\n    temprature: 1\n",
        ["r.yaml:11: generate.params.temprature: unknown key; did you mean 'temperature'?"],
    ),
    "a key like none": (
        GOOD + "limits: {xyz: 1}\n",
        ["r.yaml:9: limits.xyz: unknown key; there are: attempts, concurrency, cost_usd"],
    ),
    "two problems at once": (
        GOOD + "seed: two\nlimits: {attempts: 0}\n",
        [
            "r.yaml:9: seed: should be a whole number; not 'two'",
            "r.yaml:10: limits.attempts: should be greater than or equal to 1; not 0",
        ],
    ),
    "a key written twice": (
        GOOD + "seed: 1\nseed: 2\n",
        ["r.yaml:10: 'seed' is written twice; first at r.yaml:9"],
    ),
    "a name that cannot be one": (
        GOOD.replace("name: good", "name: my run"),
        [
            (
                "r.yaml:1: name: may hold letters, digits, `.`, `_` and `-`, at most 80, and "
                "begins "
                "with a letter or digit; not 'my run'"
            ),
        ],
    ),
    "a key that YAML reads as no text": (
        GOOD + "yes: 1\n",
        ["r.yaml:9: the key yes is no text; write it in quotes"],
    ),
    "an open bracket": (
        "name: x\nsource: {inline: [a\n",
        ["r.yaml:3: this is not YAML: expected ',' or ']', but got '<stream end>'"],
    ),
    "a tab": (
        "name: x\n\tsource: 1\n",
        ["r.yaml:2: this is not YAML: found character '\\t' that cannot start any token"],
    ),
    "a list": (
        "- name: x\n",
        ["r.yaml: a recipe is a mapping that begins with `name:` and `source:`"],
    ),
    "an empty file": (
        "",
        ["r.yaml: a recipe is a mapping that begins with `name:` and `source:`"],
    ),
    "a value that contains itself": (
        "name: x\nsource: &s {inline: *s}\n",
        ["r.yaml:2: this is not YAML: *s stands within what it repeats"],
    ),
    "a date that is none": (
        GOOD + "seed: 2024-13-01\n",
        ["r.yaml:9: this is not YAML: no timestamp (month must be in 1..12)"],
    ),
    "a key in the recipe": (
        GOOD.replace("model: x", "model: x, api_key: abc"),
        [
            (
                "r.yaml:4: models.a.api_key: a recipe holds no secrets; put the key into the "
                "environment (OPENAI_API_KEY, ANTHROPIC_API_KEY) or name its variable with "
                "`api_key_env: NAME`"
            ),
        ],
    ),
    "a key in an innocent place": (
        GOOD.replace("model: y", f"model: sk-{'a' * 20}"),
        [
            (
                "r.yaml:6: judges.j.model: this looks like a key, and a recipe holds no secrets; "
                "put "
                "the key into the environment (OPENAI_API_KEY, ANTHROPIC_API_KEY) or name its "
                "variable with `api_key_env: NAME`"
            ),
        ],
    ),
    "a password in a URL": (
        GOOD.replace("model: x", 'model: x, base_url: "http://me:pw@host/v1"'),
        [
            (
                "r.yaml:4: models.a.base_url: this URL holds a password, and a recipe holds no "
                "secrets; put the key into the environment (OPENAI_API_KEY, ANTHROPIC_API_KEY) or "
                "name its variable with `api_key_env: NAME`"
            ),
        ],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_problem_is_told_with_its_line_and_what_to_do(case: str, tmp_path: Path) -> None:
    text, expected = CASES[case]
    assert problems_of(tmp_path, text) == expected


def test_invalid_utf8_is_told_with_its_byte(tmp_path: Path) -> None:
    assert problems_of(tmp_path, b"name: \xff\n") == ["r.yaml: not UTF-8 text (byte 6)"]


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"none\.yaml: there is no such file"):
        load(tmp_path / "none.yaml")
    with pytest.raises(RecipeError, match="cannot be read: Is a directory"):
        load(tmp_path)


def test_a_secret_is_never_repeated_in_the_message(tmp_path: Path) -> None:
    said = problems_of(tmp_path, GOOD.replace("model: x", "model: x, token: hunter2"))
    assert len(said) == 1
    assert "hunter2" not in said[0]


def test_prompts_and_headers_filled_from_the_environment_are_no_secrets(tmp_path: Path) -> None:
    text = GOOD.replace("[Hello]", f"['sk-{'b' * 20}', {{prompt: hi, password: why}}]")
    text = text.replace("model: x", 'model: x, headers: {Authorization: "Bearer $MY_KEY"}')
    path = tmp_path / "r.yaml"
    path.write_text(text)
    assert load(path).recipe.models["a"].options()["headers"]


def own_rubric(text: str) -> str:
    """The recipe with a rubric file that holds this, which a line beginning with `#` carries."""
    return GOOD.replace("ultrafeedback: [honesty]", "template: rubric.yaml") + f"#{text!r}"


PLUGIN_CASES = {
    "an option that the engine does not know": (
        GOOD.replace("model: x", "model: x, latncy_ms: 3"),
        ["r.yaml:4: models.a.latncy_ms: unknown key; did you mean 'latency_ms'?"],
    ),
    "a misspelt key that every model has": (
        GOOD.replace("model: x", "model: x, parms: {}"),
        ["r.yaml:4: models.a.parms: unknown key; did you mean 'params'?"],
    ),
    "an engine that is not there": (
        GOOD.replace("simulated, model: y", "simulatd, model: y"),
        [
            "r.yaml:6: judges.j.engine: no engine named 'simulatd'; did you mean 'simulated'?",
        ],
    ),
    "a pool smaller than the sample": (
        GOOD + "generate:\n  sampler: {sample: 3}\n",
        [
            (
                "r.yaml:10: generate.sampler.sample: 3 models are to answer a row, but `models` "
                "has 1; name more models or draw fewer"
            ),
        ],
    ),
    "a jury of none": (
        GOOD.replace("judges:\n  j: {engine: simulated, model: y}\n", "judges: {}\n"),
        ["r.yaml:6: judge: there is a `judge:` step but no judge; add one under `judges:`"],
    ),
    "a rubric file without a scale": (
        own_rubric("user: '{{ generations }}'"),
        [
            (
                "r.yaml:8: judge.rubric.template: rubric.yaml: scale: missing; write for example "
                "`scale: {min: 1, max: 5}`"
            )
        ],
    ),
    "a rubric file with an unknown variable": (
        own_rubric("scale: {min: 1, max: 5}\nuser: '{{ generatons }}'"),
        [
            (
                "r.yaml:8: judge.rubric.template: rubric.yaml: user: unknown variable "
                "'generatons'; did you mean 'generations'?"
            )
        ],
    ),
    "a rubric file that reaches for Python": (
        own_rubric("scale: {min: 1, max: 5}\nuser: '{{ generations.__class__.__mro__ }}'"),
        [
            (
                "r.yaml:8: judge.rubric.template: rubric.yaml: user: access to attribute "
                "'__class__' of 'list' object is unsafe."
            )
        ],
    ),
    "a transform that is not there": (
        GOOD + "transforms: [dedpu]\n",
        ["r.yaml:9: transforms.0: no transform named 'dedpu'; did you mean 'dedup'?"],
    ),
    "a filter that reaches for Python": (
        GOOD + 'transforms:\n  - {filter: "cycler.__init__.__globals__"}\n',
        [("r.yaml:10: transforms.0.filter: a row has no field 'cycler'; there are: …")],
    ),
    "a plugin file with an error": (
        GOOD + "plugins: [mine.py]\n",
        ["r.yaml:9: plugins: mine.py:2: cannot be imported: NameError: name 'x' is not defined"],
    ),
    "judges without a step": (
        GOOD[: GOOD.index("judge:\n")],
        ["r.yaml:5: judges: there are judges but no `judge:` step; add `judge: {rubric: …}`"],
    ),
}


@pytest.mark.parametrize("case", PLUGIN_CASES)
def test_a_plugins_problem_is_told_with_its_line(case: str, tmp_path: Path) -> None:
    text, expected = PLUGIN_CASES[case]
    (tmp_path / "mine.py").write_text("import math\nx + 1\n")
    if "#" in text:
        (tmp_path / "rubric.yaml").write_text(ast.literal_eval(text.partition("#")[2]))
    path = tmp_path / "r.yaml"
    path.write_text(text)
    recipe = load(path)
    with pytest.raises(RecipeError) as caught:
        resolve(recipe.recipe)
    said = [problem.replace(f"{tmp_path}/", "") for problem in recipe.placed(caught.value)]
    assert [re.sub("there are: .*", "there are: …", line) for line in said] == expected


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ("hbu: me/good", "output.hbu: unknown key; did you mean 'hub'?"),
        ("pairng: {margin: 1}", "output.pairng: unknown key; did you mean 'pairing'?"),
        (
            "hub: {repo: me/good, privat: true}",
            "output.hub.privat: unknown key; did you mean 'private'?",
        ),
    ],
)
def test_a_misspelt_destination_is_found_with_line_and_the_nearest(
    tmp_path: Path, output: str, says: str
) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(f"{GOOD}output:\n  {output}\n")
    loaded = load(path)
    with pytest.raises(RecipeError) as caught:
        resolve(loaded.recipe)
    assert loaded.placed(caught.value) == [f"{path}:10: {says}"]
