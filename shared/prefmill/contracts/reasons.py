"""Reason codes: why a row has no place in a dataset, and why a cell or a lane failed.

They stand in the ledger, in `failures.jsonl`, in the outcome of a run and in the API.
"""

from typing import Final

# Of a row, found when it is loaded.
MISSING_INSTRUCTION: Final = "missing-instruction"
NOT_TEXT: Final = "not-text"
TOO_LONG: Final = "too-long"
MISSING_RESPONSES: Final = "missing-responses"
"""No text among its `responses`: nothing to judge, and nobody is to answer."""
DUPLICATE_ID: Final = "duplicate-id"
BAD_ROW: Final = "bad-row"
"""The line, record or conversation could not be read: broken JSON, invalid UTF-8, wrong turns."""

TRANSFORM_FAILED: Final = "transform-failed"
"""A transform could not work on this row before generation."""
OUTPUT_TRANSFORM_FAILED: Final = "output-transform-failed"
"""The same after pooling, when a dataset is made."""
LEFT_OUT_BY: Final = "by-"
"""With the name of a transform behind it: that left the row out. No failure: it was asked for."""
LEFT_OUT_BY_OUTPUT: Final = "by-output-"
"""The same of a transform after pooling."""

# Of a cell: the request's own fault, an attempt each.
REJECTED: Final = "rejected"
"""The server refused this request: 400, 413, 422."""
EMPTY: Final = "empty"
"""The answer held no text."""
REFUSED: Final = "refused"
"""A content filter stopped the answer."""
UNREADABLE: Final = "unreadable"
"""A verdict in which at least one rating could not be read."""
NO_ANSWER: Final = "no-answer"
"""Time-outs or server errors for this request again and again, while others succeeded."""
DIED: Final = "died"
"""The worker died with this single row in hand, again and again."""
UNAVAILABLE: Final = "unavailable"
"""The model could not be had, and the recipe goes on without it; no attempt."""

# Of a call that is waited for and made again: no attempt, and nothing is stored of it.
RATE_LIMITED: Final = "rate-limited"
"""The server is too full: 429, 503, 529."""
OUTAGE: Final = "outage"
"""A time-out, a server error, a lost connection, a broken answer."""

# Of a text within a verdict (statuses); `rated` and `not-applicable` are no failures.
RATED: Final = "rated"
NOT_APPLICABLE: Final = "not-applicable"
MISSING_BLOCK: Final = "missing-block"
MISSING_RATING: Final = "missing-rating"
OUT_OF_RANGE: Final = "out-of-range"
NOT_A_RATING: Final = "not-a-rating"
AMBIGUOUS: Final = "ambiguous"
"""Two different ratings for one text."""
MISSING_GENERATION: Final = "missing-generation"
"""The generation itself failed, so it was not shown to the judge."""
NOT_SHOWN: Final = "not-shown"
"""This verdict was about other generations of the row."""

# Of a lane: it pauses, and its cells go back uncounted.
UNUSABLE: Final = "unusable"
STREAK: Final = "streak"
"""Twenty calls in succession failed in the same way."""
ENGINE_DIED: Final = "engine-died"
"""The engine's own process ended, and the worker ends with it; the lane does not pause."""

# Of a row, when a dataset is made.
TOO_FEW_GENERATIONS: Final = "too-few-generations"
NOT_JUDGED: Final = "not-judged"
"""No judge of the run was asked for what the format is made of."""
TOO_FEW_VERDICTS: Final = "too-few-verdicts"
TOO_FEW_SCORES: Final = "too-few-scores"
IDENTICAL_TEXTS: Final = "identical-texts"
BELOW_MARGIN: Final = "below-margin"
NOT_FINISHED: Final = "not-finished"
"""Cells of the row are still open (an export while the run goes on, or a run that was stopped)."""
