"""Which of the three kinds of failure a status and a body are."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefmill.contracts.reasons import REFUSED, REJECTED
from prefmill.engines.failures import Place, failure_of
from prefmill.engines.parameters import refused_parameter
from prefmill.engines.retry_after import LONGEST, retry_after
from prefmill.engines.server_error import ServerError, error_in, error_of
from prefmill.engines.streak import Streak, alike
from prefmill.engines.text import clean, one_line
from prefmill.plugins.errors import EngineError, Rejected, Transient, Unusable

PLACE = Place("gpt-x", "api.example.com", "EXAMPLE_KEY", key_sent=True, secrets=("sk-secret",))
NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def failed(status: int, body: Any, **headers: str) -> EngineError:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return failure_of(status, error_in(data), PLACE, headers, NOW)


def openai(message: str, code: str | None = None, kind: str = "invalid_request_error") -> Any:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def anthropic(kind: str, message: str, **details: str) -> Any:
    return {"type": "error", "error": {"type": kind, "message": message, "details": details}}


QUOTA = "You exceeded your current quota, please check your plan and billing details."
LOW = "Your credit balance is too low to access the API. Please purchase credits."

KINDS: list[tuple[int, Any, type[EngineError], str]] = [
    (400, openai("bad things", None), Rejected, "bad things"),
    (400, openai("maximum context length is 4096 tokens"), Rejected, "maximum context length"),
    (413, b"<html><title>413 Too Large</title></html>", Rejected, "413 Too Large"),
    (422, {"detail": [{"loc": ["body", "stop"], "msg": "too long", "type": "x"}]}, Rejected,
     "stop: too long"),
    (401, openai("Incorrect API key provided: sk-secret."), Unusable, "provided: ***; is"),
    (402, {"error": {"message": "Insufficient credits", "code": 402}}, Unusable, "EXAMPLE_KEY"),
    (403, openai("Project has no access to this model"), Unusable, "may not use this model"),
    (404, openai("The model `gpt-x` does not exist", "model_not_found"), Unusable,
     "is the model's name right?"),
    (404, {"detail": "Not Found"}, Unusable, "ends in /v1"),
    (400, {"error": {"message": "gpt-x is not a valid model ID", "code": 400}}, Unusable,
     "model's name"),
    (400, {"object": "error", "message": "Invalid model: gpt-x", "type": "invalid_model"}, Unusable,
     "model's name"),
    (400, anthropic("invalid_request_error", LOW), Unusable, "no quota left"),
    (400, [{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID"}}],
     Unusable, "is the key in EXAMPLE_KEY right"),
    (405, b"", Unusable, "is base_url right?"),
    (301, b"<html><title>Moved</title></html>", Unusable, "is base_url right?"),
    (408, b"", Transient, "408 nothing"),
    (409, openai("conflict"), Transient, "conflict"),
    (429, openai("Rate limit reached for gpt-x", "rate_limit_exceeded"), Transient, "Rate limit"),
    (429, openai(QUOTA, "insufficient_quota", "insufficient_quota"), Unusable, "no quota left"),
    (429, anthropic("rate_limit_error", "limit", error_code="enforced_spend_limit_reached"),
     Unusable, "no quota left"),
    (429, {"error": "Too many requests"}, Transient, "Too many requests"),
    (500, openai("The server had an error"), Transient, "had an error"),
    (500, openai(QUOTA, "insufficient_quota"), Transient, "exceeded"),
    (502, b"<html><head><title>502 Bad Gateway</title></head></html>", Transient, "502 Bad"),
    (503, {"error": {"message": "overloaded"}}, Transient, "overloaded"),
    (529, anthropic("overloaded_error", "Overloaded"), Transient, "Overloaded"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "kind", "words"), KINDS)
def test_a_status_and_what_the_server_says_decide_whose_fault_it_is(
    status: int, body: Any, kind: type[EngineError], words: str
) -> None:
    failure = failed(status, body)
    assert type(failure) is kind
    assert words in failure.detail
    assert failure.detail.startswith(f"gpt-x at api.example.com: {status} ")
    assert "\n" not in failure.detail
    assert "sk-secret" not in failure.detail


def test_what_a_content_filter_stops_is_refused_and_not_rejected() -> None:
    azure = {
        "error": {"message": "filtered", "code": "content_filter", "innererror": {"code": "x"}}
    }
    for body in (azure, {"error": {"innererror": {"code": "ResponsibleAIPolicyViolation"}}}):
        failure = failed(400, body)
        assert isinstance(failure, Rejected)
        assert failure.reason == REFUSED
    plain = failed(400, openai("no"))
    assert isinstance(plain, Rejected)
    assert plain.reason == REJECTED


def test_a_servers_sentence_goes_on_without_its_full_stop() -> None:
    assert failed(500, openai("All full.")).detail.endswith("500 All full")
    assert failed(500, openai("Loading...")).detail.endswith("500 Loading...")


@pytest.mark.parametrize(("status", "full"), [(429, True), (503, True), (529, True), (500, False)])
def test_a_server_without_room_says_to_send_less(status: int, full: bool) -> None:
    failure = failed(status, openai("no"), **{"retry-after": "7"})
    assert isinstance(failure, Transient)
    assert failure.rate_limited is full
    assert failure.retry_after == timedelta(seconds=7)


def test_without_a_key_a_401_says_which_variable_to_set() -> None:
    failure = failure_of(401, ServerError("who?"), Place("m", "h", "MY_KEY"))
    assert "no key was sent: set MY_KEY" in failure.detail


WAITS: list[tuple[dict[str, str], float | None]] = [
    ({}, None),
    ({"retry-after": "2"}, 2.0),
    ({"retry-after": "0.25"}, 0.25),
    ({"retry-after": "Sun, 01 Mar 2026 12:00:30 GMT"}, 30.0),
    ({"retry-after": "Sun, 01 Mar 2026 11:00:00 GMT"}, 0.0),
    ({"retry-after": "-5"}, 0.0),
    ({"retry-after": "1e300"}, 3600.0),
    ({"retry-after": "nan"}, None),
    ({"retry-after": "soon"}, None),
    ({"retry-after-ms": "150", "retry-after": "1"}, 0.15),
    ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"}, 360.0),
    ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "20ms"}, 0.02),
    ({"x-ratelimit-remaining-requests": "9", "x-ratelimit-reset-requests": "20s"}, None),
    ({"anthropic-ratelimit-tokens-remaining": "0",
      "anthropic-ratelimit-tokens-reset": "2026-03-01T12:00:09Z"}, 9.0),
]  # fmt: skip


@pytest.mark.parametrize(("headers", "seconds"), WAITS)
def test_how_long_a_server_asks_to_be_left_alone(
    headers: dict[str, str], seconds: float | None
) -> None:
    wait = retry_after(headers, NOW)
    assert (None if wait is None else wait.total_seconds()) == seconds


@given(st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms"]), st.text()))
def test_no_header_breaks_the_reading_of_waits(headers: dict[str, str]) -> None:
    wait = retry_after(headers, NOW)
    assert wait is None or timedelta(0) <= wait <= LONGEST


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["error", "detail", "message", "code", "type", "loc", "msg", "status"]),
        inner),
    max_leaves=12,
)  # fmt: skip


@given(JSON)
def test_any_json_is_read_as_a_servers_error(document: Any) -> None:
    error = error_of(document)
    assert "\n" not in error.message
    assert len(error.message) <= 300
    error.message.encode()


@given(st.binary(max_size=300))
def test_any_bytes_are_read_as_a_servers_error(body: bytes) -> None:
    error_in(body).message.encode()


REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
      "'max_completion_tokens' instead.", "param": "max_tokens", "code": "unsupported_parameter"},
     "max_tokens"),
    ({"message": "Unsupported value: 'temperature' does not support 0 with this model. Only the "
      "default (1) value is supported.", "param": "temperature", "code": "unsupported_value"},
     "temperature"),
    ({"message": "Unrecognized request argument supplied: top_k"}, "top_k"),
    ({"message": "`temperature` is deprecated for this model."}, "temperature"),
    ({"message": "temperature: Extra inputs are not permitted"}, "temperature"),
    ({"message": "`temperature` and `top_p` cannot both be specified for this model."}, "top_p"),
    ({"message": "property 'seed' is unsupported"}, "seed"),
    ({"message": "Unsupported parameter: 'stop'", "param": "stop", "code": "unsupported_parameter"},
     "stop"),
    ({"message": "max_tokens is too large: 9000. This model supports at most 4096"}, ""),
    ({"message": "temperature must be between 0 and 2"}, ""),
    ({"message": "unknown trouble"}, ""),
    ({"message": "min_p is not supported", "param": None}, ""),
]  # fmt: skip


@pytest.mark.parametrize(("error", "name"), REFUSALS)
def test_the_parameter_that_a_400_is_about_is_found(error: dict[str, Any], name: str) -> None:
    sent = {"model", "max_tokens", "temperature", "top_p", "top_k", "seed", "stop"}
    assert refused_parameter(400, error_of({"error": error}), sent) == name
    assert refused_parameter(500, error_of({"error": error}), sent) == ""


def test_a_list_of_wrong_fields_names_the_parameter_too() -> None:
    body = {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs"}]}
    assert refused_parameter(422, error_of(body), {"seed"}) == "seed"


@given(st.text(st.characters(codec=None)))
def test_cleaned_text_can_be_stored_and_keeps_all_else(text: str) -> None:
    cleaned = clean(text)
    assert "\0" not in cleaned
    cleaned.encode()
    assert len(cleaned) == len(text)
    assert all(a in (b, "\ufffd") for a, b in zip(cleaned, text, strict=True))


def test_sound_text_is_left_as_the_same_object() -> None:
    for text in ("plain", "déjà vu 🙂", ""):
        assert clean(text) is text


def test_one_line_is_short_and_has_no_breaks() -> None:
    assert one_line(" a\r\n b\t c ") == "a b c"
    assert len(one_line("x" * 1000, 50)) == 50


def test_a_streak_counts_what_differs_only_in_numbers_and_quotations() -> None:
    streak = Streak()
    long = [streak.add("rejected", f"you sent {n} tokens, 'abc{n}'") for n in range(20)]
    assert long == [False] * 19 + [True]
    streak.end()
    assert not streak.add("rejected", "you sent 7 tokens, 'x'")
    assert alike("req_01ab failed") == alike("req_77 failed")


def test_rows_that_a_filter_refuses_do_not_pause_a_lane_however_many_follow_each_other() -> None:
    streak = Streak()
    assert not any(streak.add("refused", "a content filter stopped it") for _ in range(100))
    assert not any(streak.add("too-long", "9,000 tokens of 4,096") for _ in range(100))
    assert [streak.add("rejected", "no such parameter") for _ in range(20)][-1]


def test_another_failure_starts_a_streak_anew() -> None:
    streak = Streak()
    for _ in range(19):
        streak.add("rejected", "a")
    assert not streak.add("empty", "a")
    assert not streak.add("rejected", "a")
