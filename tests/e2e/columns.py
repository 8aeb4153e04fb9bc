"""Which configs each example makes, with which columns in which order."""


def named(columns: str) -> list[str]:
    """Between `id` and `metadata`."""
    return ["id", *columns.split(), "metadata"]


def exactly(columns: str) -> list[str]:
    """No others."""
    return columns.split()


VERDICT = exactly(
    "judge rubric aspect sample order ratings rationales types rationales_for_ratings attributes "
    "statuses raw"
)
RAW = named(
    "instruction messages reference generations generation_models principles principle_prompts "
    "scores verdicts"
)
PREFERENCE = named(
    "prompt prompt_id chosen rejected chosen_model rejected_model chosen_rating rejected_rating"
)
TRL = named("prompt chosen rejected")
POLL = "poll_ratings poll_rationales poll_models avg_poll_ratings"
TASK = "generations generation_models"

COLUMNS: dict[str, dict[str, list[str]]] = {
    "critique.yaml": {"raw": RAW, "preference": PREFERENCE},
    "dpo.yaml": {
        "raw": RAW,
        "preference": exactly(
            "prompt prompt_id chosen chosen_model chosen_rating rejected rejected_model "
            "rejected_rating"
        ),
        "trl": exactly("prompt chosen rejected"),
    },
    "helpsteer.yaml": {
        "raw": RAW,
        "helpsteer": exactly(
            "prompt response correctness coherence complexity verbosity helpfulness"
        ),
    },
    "jury.yaml": {
        "raw": RAW,
        "distilabel": exactly(f"instruction {TASK} {POLL}"),
        "preference": PREFERENCE,
    },
    "label.yaml": {
        "raw": RAW,
        "distilabel": named(f"instruction system_prompt {TASK} {POLL} poll_counts"),
        "preference": PREFERENCE,
    },
    "on-policy.yaml": {"raw": RAW, "preference": PREFERENCE, "trl": TRL},
    "openai-and-anthropic.yaml": {
        "raw": RAW,
        "trl": TRL,
        "kto": named("prompt completion label"),
    },
    "prometheus.yaml": {"raw": RAW},
    "prometheus-relative.yaml": {"raw": RAW, "trl": TRL},
    "quickstart.yaml": {"raw": RAW, "trl": TRL, "preference": PREFERENCE},
    "ultrafeedback-distilabel.yaml": {
        "raw": RAW,
        "distilabel": exactly(f"instruction {TASK} ratings rationales ultrafeedback_model"),
    },
    "ultrafeedback-original.yaml": {
        "raw": RAW,
        "ultrafeedback": exactly(
            "source instruction models completions correct_answers incorrect_answers"
        ),
    },
    "vllm.yaml": {"raw": RAW, "trl": TRL},
}
