"""What a recipe may say of the rubric, and what it is told when it is wrong."""

import json
import shutil

import pytest

from prefmill.contracts.work import JudgeRow
from prefmill.judge.rubrics.aspects import ASPECTS, PAPER
from prefmill.judge.rubrics.ultrafeedback import BUILT_IN, MAX_TEMPLATE_CHARS, UltraFeedback
from prefmill.plugins.errors import RecipeError
from prefmill.plugins.registry import load, named_options, options_of

USER = "{% for text in generations %}<text {{ loop.index }}> {{ text }}\n{% endfor %}"
ROW = JudgeRow(row=0, instruction="Say hi.", generations=("hi", "ho"), cells=())


def options(**values):
    return options_of(UltraFeedback, values, "judge.rubric")


def refused(**values):
    with pytest.raises(RecipeError) as caught:
        UltraFeedback(options(**values))
    return str(caught.value)


def own(user=USER, system="", aspect="honesty"):
    return {"ultrafeedback": [aspect], "templates": {aspect: {"system": system, "user": user}}}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "honesty.system.jinja2").write_text("You judge {{ no_texts }} texts.")
    (tmp_path / "honesty.user.jinja2").write_text("{{ instruction }}\n" + USER)
    return tmp_path


def test_it_is_found_by_its_name():
    assert load("rubrics", "ultrafeedback") is UltraFeedback


def test_without_aspects_the_four_of_the_paper_are_judged():
    plugin, chosen = named_options("rubrics", {"ultrafeedback": None}, "judge.rubric")
    assert plugin(chosen).aspects == PAPER == chosen.ultrafeedback
    assert chosen.reference_in == ("truthfulness",)


def test_aspects_keep_the_order_of_the_recipe_and_one_needs_no_list():
    assert UltraFeedback(options(ultrafeedback=["honesty", "helpfulness"])).aspects == (
        "honesty",
        "helpfulness",
    )
    assert options(ultrafeedback="overall-rating").ultrafeedback == ("overall-rating",)


def test_wrong_options_say_what_is_wrong_and_what_is_near():
    assert "did you mean 'honesty'" in refused(ultrafeedback=["honestly"])
    assert "did you mean 'instruction-following'" in refused(ultrafeedback="instruction_following")
    assert "honesty: name each aspect once" in refused(ultrafeedback=["honesty", "honesty"])
    assert "at least 1" in refused(ultrafeedback=[])
    assert "did you mean 'templates'" in refused(template="x")
    assert "judge.rubric.reference_in" in refused(reference_in=["truth"])
    assert "did you mean 'honesty'" in refused(templates={"honest": {"user": USER}})


def test_a_folder_is_read_once_and_travels_as_text(folder):
    chosen = options(ultrafeedback=["honesty"], templates=str(folder))
    dump = json.loads(json.dumps(chosen.model_dump(mode="json")))
    shutil.rmtree(folder)
    again = options_of(UltraFeedback, dump, "judge.rubric")
    assert again == chosen
    assert again.model_dump(mode="json") == dump
    system, user = UltraFeedback(again).ask(ROW, "honesty", (1, 0)).messages
    assert system.content == "You judge 2 texts."
    assert user.content == "Say hi.\n<text 1> ho\n<text 2> hi\n"


def test_a_folder_may_hold_a_folder_for_each_aspect(tmp_path):
    (tmp_path / "honesty").mkdir()
    (tmp_path / "honesty" / "system.jinja2").write_text("")
    (tmp_path / "honesty" / "user.jinja2").write_text(USER)
    rubric = UltraFeedback(options(ultrafeedback=["honesty"], templates=str(tmp_path)))
    (user,) = rubric.ask(ROW, "honesty", (0, 1)).messages
    assert (user.role, user.content) == ("user", "<text 1> hi\n<text 2> ho\n")


def test_files_without_an_aspect_serve_all_that_have_none_of_their_own(folder):
    (folder / "user.jinja2").write_text("{{ aspect }}: " + USER)
    (folder / "system.jinja2").write_text("")
    rubric = UltraFeedback(options(ultrafeedback=["honesty", "helpfulness"], templates=str(folder)))
    assert rubric.ask(ROW, "helpfulness", (0,)).messages[0].content == "helpfulness: <text 1> hi\n"
    assert rubric.ask(ROW, "honesty", (0,)).messages[1].content.startswith("Say hi.")


def test_the_built_in_prompts_are_such_a_folder():
    copied = UltraFeedback(options(templates=str(BUILT_IN)))
    assert copied.fingerprint() == UltraFeedback(options()).fingerprint()


def test_a_folder_that_cannot_be_used_says_why(folder):
    assert "no such folder" in refused(templates=str(folder / "none"))
    assert "no helpfulness.system.jinja2" in refused(
        ultrafeedback=["honesty", "helpfulness"], templates=str(folder)
    )
    (folder / "honesty").mkdir()
    (folder / "honesty" / "user.jinja2").write_text(USER)
    assert "keep one of them" in refused(ultrafeedback=["honesty"], templates=str(folder))
    (folder / "honesty.user.jinja2").unlink()
    (folder / "honesty" / "user.jinja2").write_bytes(b"\xff")
    assert "user.jinja2: cannot be read" in refused(
        ultrafeedback=["honesty"], templates=str(folder)
    )


def test_a_mistake_in_a_template_names_its_file(folder):
    (folder / "honesty.user.jinja2").write_text("{{ instructions }}" + USER)
    said = refused(ultrafeedback=["honesty"], templates=str(folder))
    assert str(folder / "honesty.user.jinja2") in said
    assert "unknown variable 'instructions'; did you mean 'instruction'?" in said


@pytest.mark.parametrize(
    ("user", "said"),
    [
        (USER + "{{ rubric }}", "unknown variable 'rubric'"),
        (USER + "{% if %}", "line 2: Expected an expression"),
        (USER + "{{ ''.__class__.__mro__ }}", "unsafe"),
        (USER + "{{ instruction.__init__.__globals__ }}", "unsafe"),
        (USER + "{{ generations.append('x') }}", "unsafe"),
        (USER + "{{ range.__self__ }}", "has no attribute"),
        (USER + "{% include 'x' %}", "cannot include"),
        (USER + "{% import '/etc/passwd' as x %}", "cannot include"),
        (USER + "{{ 1 / 0 }}", "division by zero"),
        (USER + "{{ reference.correct }}", "has no attribute 'correct'"),
        (USER + "{{ generations[5] }}", "has no element 5"),
        (USER + "{% for i in range(10 ** 9) %}{% endfor %}", "Range too big"),
        (USER + "{{ lipsum() }}", "unknown variable 'lipsum'"),
        (USER + "{{ generations | random }}", "No filter named 'random'"),
        ("{{ generations[0] }}", "does not show every text"),
        ("{{ instruction }}", "does not show every text"),
    ],
)
def test_a_template_that_cannot_be_used_is_refused_before_anything_is_spent(user, said):
    message = refused(**own(user))
    assert "templates.honesty.user" in message
    assert said in message


def test_the_system_template_is_checked_too():
    assert "templates.honesty.system: unknown variable 'texts'" in refused(
        **own(system="{{texts}}")
    )


def test_templates_must_serve_every_aspect_asked_for():
    values = own() | {"ultrafeedback": ["honesty", "helpfulness"]}
    assert "none for the aspect 'helpfulness'" in refused(**values)


def test_templates_must_fit_into_a_batch():
    assert "characters, at most" in refused(**own(USER + "x" * MAX_TEMPLATE_CHARS))


def test_templates_of_the_paper_s_kind_work_as_they_are():
    user = (
        "Instruction: {{ instruction }}\n\nTexts:\n"
        "{% for generation in generations %}\n<text {{ loop.index }}> {{ generation }}\n"
        "{%- endfor %}\n{% for index in range(no_texts) %}\n"
        "#### Output for Text {{ index + 1 }}\nRating: [1-5]\n{%- endfor %}"
    )
    (asked,) = UltraFeedback(options(**own(user))).ask(ROW, "honesty", (0, 1)).messages
    assert asked.content == (
        "Instruction: Say hi.\n\nTexts:\n\n<text 1> hi\n<text 2> ho\n\n"
        "#### Output for Text 1\nRating: [1-5]\n#### Output for Text 2\nRating: [1-5]"
    )


def test_the_fingerprint_follows_what_is_asked_and_not_how_much():
    base = UltraFeedback(options())
    assert UltraFeedback(options(ultrafeedback="honesty")).fingerprint() == base.fingerprint()
    assert UltraFeedback(options(reference_in=[])).fingerprint() != base.fingerprint()
    assert UltraFeedback(options(**own())).fingerprint() != base.fingerprint()
    mine, other = UltraFeedback(options(**own())), UltraFeedback(options(**own(USER + "!")))
    assert mine.fingerprint() != other.fingerprint()


def test_an_aspect_s_own_fingerprint_ignores_the_others():
    told = UltraFeedback(options(reference_in=["helpfulness", "truthfulness"]))
    base = UltraFeedback(options())
    changed = [a for a in ASPECTS if told.fingerprint_of(a) != base.fingerprint_of(a)]
    assert changed == ["helpfulness"]


def test_tokens_per_text_are_more_where_types_are_listed():
    plain = UltraFeedback(options(ultrafeedback=["honesty"])).tokens_per_text
    typed = UltraFeedback(options(ultrafeedback=["honesty", "truthfulness"])).tokens_per_text
    assert 0 < plain < typed
