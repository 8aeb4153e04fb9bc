"""What Kubernetes leaves of a variable that is made of a missing secret."""

from prefmill.settings.unset import unset


def test_a_setting_made_of_what_is_not_set_is_named() -> None:
    env = {"PREFMILL_NATS_URL": "nats://judge:$(NATS_PASSWORD)@nats:4222", "OTHER": "$(X)"}
    assert unset(env).startswith("PREFMILL_NATS_URL is made of NATS_PASSWORD, which is not set")


def test_a_secret_that_looks_like_a_variable_is_none() -> None:
    """Kubernetes puts its text in and does not look at it again."""
    env = {"TOKEN": "$(TOKEN)", "PREFMILL_TOKEN": "$(TOKEN)"}
    assert unset(env) == ""
    assert unset({"PREFMILL_TOKEN": "$5 (or $6)"}) == ""
