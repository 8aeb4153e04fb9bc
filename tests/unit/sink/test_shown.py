"""A dataset shows its recipe without the machine that it was made on."""

import yaml

from prefmill.sink.domain.shown import shown, text_of

LOCAL = {
    "name": "tiny",
    "plugins": {"/home/me/mine.py": "ab12"},
    "source": {"mix": [{"jsonl": "/home/me/p.jsonl"}, {"csv": ["upload:00ff/q.csv", "/x/*.csv"]}]},
    "judge": {"rubric": [{"ultrafeedback": ["honesty"], "templates": "/home/me/own"}, "critique"]},
}


def test_files_are_named_without_their_folders() -> None:
    made = shown(LOCAL)
    assert made["plugins"] == {"mine.py": "ab12"}
    assert made["source"] == {
        "mix": [{"jsonl": "p.jsonl"}, {"csv": ["upload:00ff/q.csv", "*.csv"]}]
    }
    assert made["judge"]["rubric"][0]["templates"] == "own"
    assert "/home/me" not in str(made)
    assert LOCAL["plugins"] == {"/home/me/mine.py": "ab12"}, "what is stored stays"


def test_local_models_are_named_without_the_folders_they_lie_in() -> None:
    own = {"engine": "vllm", "model": "/srv/me/zephyr-dpo/", "lora": "/srv/me/style"}
    hub = {"engine": "vllm", "model": "HuggingFaceH4/zephyr-7b-beta", "system": "/no_think"}
    recipe = {"name": "tiny", "source": {"hub": "a/b"}, "models": {"own": own, "hub": hub}}
    made = shown(recipe | {"judges": {"j": {"engine": "openai", "model": "/srv/me/judge"}}})
    assert made["models"] == {
        "own": {"engine": "vllm", "model": "zephyr-dpo", "lora": "style"},
        "hub": hub,
    }
    assert made["judges"]["j"]["model"] == "judge"
    assert shown(recipe | {"models": ["zephyr"]})["models"] == ["zephyr"], "names of lanes"


def test_what_names_no_place_of_a_machine_stays_as_it_was_written() -> None:
    recipe = {
        "name": "tiny",
        "source": {"inline": [{"prompt": "/why/", "token": "a"}], "columns": {"token": "token"}},
        "generate": {"system": "/no_think", "params": {"max_tokens": 9}},
        "models": {"a": {"engine": "openai", "model": "m", "api_key_env": "MY_KEY"}},
        "judge": {"rubric": {"template": {"name": "own"}}},
    }
    assert shown(recipe) == recipe


def test_no_secret_is_shown_should_one_stand_in_a_recipe() -> None:
    model = {
        "base_url": "http://me:hunter2@host/v1",
        "api_key": "hunter2",
        "headers": {"Authorization": "Bearer hunter2", "X-Api-Key": "$MY_KEY"},
    }
    made = shown({"name": "tiny", "source": {"hub": "a/b"}, "models": {"a": model}})["models"]["a"]
    assert "hunter2" not in str(made)
    assert made["base_url"] == "http://host/v1"
    assert made["headers"]["X-Api-Key"] == "$MY_KEY", "the name of a variable is no secret"


def test_the_text_is_yaml_that_says_the_same_in_the_same_order() -> None:
    recipe = {"name": "größe", "source": {"inline": ["one\ntwo", "#3"]}, "judges": {}}
    text = text_of(recipe)
    assert text.startswith("name: größe\nsource:\n  inline:\n")
    assert yaml.safe_load(text) == recipe
