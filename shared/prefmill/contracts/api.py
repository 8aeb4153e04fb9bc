"""What the coordinator's HTTP API takes and gives."""

from datetime import datetime
from typing import Literal

from pydantic import Field, JsonValue

from prefmill.contracts.base import Frozen, Strict
from prefmill.contracts.recipe import Output, Pairing, PoolStep, Recipe, Spec
from prefmill.contracts.work import LaneKind
from prefmill.contracts.workers import LaneHealth

RunState = Literal["loading", "probing", "running", "paused", "finished", "cancelled", "failed"]
"""`loading` and `probing` come before anything is spent; `failed` says why in `reason`."""

ExportState = Literal["wanted", "writing", "written", "failed"]


class RunRequest(Strict):
    """POST /v1/runs. A known name goes on with that run; a changed recipe is a new revision."""

    recipe: Recipe = Field(description="What to run.")
    fresh: bool = Field(default=False, description="Start over; reuse nothing stored.")
    dry_run: bool = Field(default=False, description="Only say what would be called.")
    directory: str | None = Field(
        default=None, description="Where the dataset goes; the sink's own folder if none."
    )


class SlotPlan(Frozen):
    """What a run would call of one model or judge."""

    kind: Literal["generate", "judge"] = Field(description="Which side.")
    alias: str = Field(description="The recipe's name for it.")
    model: str = Field(description="Model id.")
    calls: int = Field(ge=0, description="Calls to be made.")
    stored: int = Field(ge=0, description="Cells of it that are stored already.")
    input_tokens: int = Field(ge=0, description="Estimated.")
    output_tokens: int = Field(ge=0, description="Estimated, at most.")
    cost_usd: float | None = Field(description="Estimated; None if no price is known.")
    paid: bool = Field(description="Whether its calls may cost money: not if its price is 0.")
    warnings: tuple[str, ...] = Field(default=(), description="For example: max_tokens too small.")


class RunPlan(Frozen):
    """What a run would do: `check`, and the answer to a dry run."""

    rows: int | None = Field(description="Prompts; None if the source cannot say.")
    new_revision: bool = Field(default=False, description="The recipe differs from the stored.")
    changes: tuple[str, ...] = Field(default=(), description="What differs, a line each.")
    slots: tuple[SlotPlan, ...] = Field(default=(), description="One per model and judge.")
    problems: tuple[str, ...] = Field(default=(), description="What stops it: missing keys, …")
    warnings: tuple[str, ...] = Field(default=(), description="What may be a mistake.")


class SlotStatus(Frozen):
    """How far one model or judge of a run is."""

    kind: Literal["generate", "judge", "given"] = Field(description="`given`: came with the data.")
    alias: str = Field(description="The recipe's name for it.")
    model: str = Field(description="Model id.")
    lane: str = Field(default="", description="Slug of its lane.")
    wanted: int = Field(ge=0, description="Cells, as far as known by now.")
    done: int = Field(
        ge=0,
        description="Closed with a result, reused ones included; so are verdicts that were given "
        "before a retry brought their row another answer.",
    )
    failed: int = Field(ge=0, description="Closed with a failure.")
    not_asked: int = Field(
        default=0,
        ge=0,
        description="Of a finished run: verdicts that were expected, and not asked for in the end, "
        "as prompts had too few usable answers. No more among `wanted`.",
    )
    reused: int = Field(default=0, ge=0, description="Filled from stored answers, not paid.")
    attempts: int = Field(default=0, ge=0, description="Failed attempts counted so far.")
    published: int = Field(
        default=0, ge=0, description="Rows sent out and not yet answered; most of them queue."
    )
    in_flight: int = Field(
        default=0,
        ge=0,
        description="Calls that workers have under way on its lane, by their last announcements; "
        "those that wait for a retry, or for a limit shared with other lanes, are not among them. "
        "None where nothing of this run is out.",
    )
    waiting: int = Field(default=0, ge=0, description="Rows wanted and not yet answered.")
    workers: int = Field(default=0, ge=0, description="Live workers that serve the lane.")
    health: LaneHealth | None = Field(default=None, description="None: no worker serves it.")
    detail: str = Field(default="", description="Why it is not ready.")
    gpus: int | None = Field(
        default=None, description="Devices that each worker of it needs; None: it needs none."
    )
    input_tokens: int = Field(default=0, ge=0, description="Paid by this run.")
    output_tokens: int = Field(default=0, ge=0, description="Paid by this run.")
    cost_usd: float | None = Field(default=None, description="None if no price is known.")


class FormatOutcome(Frozen):
    """The sum that always adds up: prompts in = out + ties + dropped by reason."""

    prompts: int = Field(description="Prompts in.")
    out: int = Field(description="Prompts that made data.")
    ties: int = Field(description="Prompts whose scores tie.")
    dropped: dict[str, int] = Field(description="Prompts by reason.")
    records: int = Field(description="Rows that came out; more than `out` for all pairs, KTO.")
    test: int = Field(default=0, description="Those of them that are kept for a test.")


class ExportRequest(Strict):
    """POST /v1/runs/{id}/exports: datasets from stored verdicts, without a call."""

    formats: tuple[Spec, ...] | None = Field(default=None, description="The recipe's if none.")
    pool: PoolStep | None = Field(default=None, description="The recipe's if none.")
    pairing: Pairing | None = Field(
        default=None, description="What is set of it goes over the recipe's."
    )
    output: Output | None = Field(default=None, description="Instead of the recipe's as a whole.")
    directory: str | None = Field(default=None, description="Where to; the sink's if none.")


class ExportStatus(Frozen):
    """One export of a run."""

    id: int = Field(description="Of the export.")
    state: ExportState = Field(description="How far it is.")
    directory: str = Field(default="", description="Folder it is written to.")
    rows: int = Field(default=0, description="Prompts written so far.")
    outcome: dict[str, FormatOutcome] = Field(default={}, description="By format config.")
    summary: dict[str, JsonValue] = Field(
        default={}, description="Models, judges, agreement and bias, as in `run.json`."
    )
    error: str = Field(
        default="", description="Why it failed; of a written one, which formats failed, and why."
    )
    so_far: bool = Field(
        default=False, description="Made while the run goes on, for who wants what there is."
    )
    own: bool = Field(
        default=True,
        description="Made as the recipe says; false where other formats, another pool, pairing or "
        "output were asked for.",
    )


class StoredRecipe(Frozen):
    """GET /v1/runs/{id}/recipe: what the run's newest revision was made of."""

    revision: int = Field(description="How often the recipe was changed, plus one.")
    recipe: dict[str, JsonValue] = Field(description="As it was submitted: only what was written.")


class RunStatus(Frozen):
    """GET /v1/runs/{id}."""

    id: int = Field(description="Of the run.")
    name: str = Field(description="The recipe's name.")
    state: RunState = Field(description="How far it is.")
    reason: str = Field(
        default="", description="Why it failed, paused or stands still; a line for each cause."
    )
    revision: int = Field(default=1, description="How often the recipe was changed, plus one.")
    rows: int = Field(default=0, description="Prompts loaded.")
    rows_wanted: int | None = Field(
        default=None, description="The recipe wants only so many of them, the first; None: all."
    )
    rows_failed: int = Field(default=0, description="Prompts that could not be used.")
    rows_left_out: dict[str, int] = Field(
        default={}, description="Prompts that transforms left out, by reason: no failures."
    )
    source_done: bool = Field(default=False, description="All prompts are loaded.")
    slots: tuple[SlotStatus, ...] = Field(default=(), description="Models, then judges.")
    input_tokens: int = Field(default=0, description="Paid so far, by all revisions.")
    output_tokens: int = Field(default=0, description="Paid so far, by all revisions.")
    cost_usd: float = Field(default=0.0, description="Paid so far, as far as prices are known.")
    asked_again: int = Field(
        default=0,
        description="Calls that workers had in hand when everything was killed, and that were made "
        "again: what those that had begun cost the first time is not known, and in none of the "
        "sums.",
    )
    started_at: datetime | None = Field(default=None, description="UTC.")
    exports: tuple[ExportStatus, ...] = Field(
        default=(), description="Those made as the recipe says, then others; each newest first."
    )


class CellStatus(Frozen):
    """One closed cell of a row, in `GET /v1/runs/{id}/rows`."""

    slot: str = Field(description="Alias of the model or judge.")
    kind: Literal["generate", "judge", "given"] = Field(description="Which side.")
    sample: int = Field(default=0, description="Which sample.")
    aspect: str = Field(default="", description="For verdicts.")
    text: str | None = Field(default=None, description="The answer.")
    ratings: tuple[float | None, ...] | None = Field(default=None, description="The verdict.")
    failure: str = Field(default="", description="Reason code, if it failed.")
    detail: str = Field(default="", description="What happened.")


class RowStatus(Frozen):
    """One row of a run."""

    position: int = Field(description="In the run.")
    id: str = Field(description="The row's id.")
    instruction: str = Field(description="The last user turn.")
    failure: str = Field(default="", description="Why the row cannot be used.")
    detail: str = Field(default="", description="What exactly.")
    cells: tuple[CellStatus, ...] = Field(default=(), description="What is stored for it.")


class RowPage(Frozen):
    """A page of rows: `GET /v1/runs/{id}/rows?after=…&limit=…&failed=true`."""

    rows: tuple[RowStatus, ...] = Field(description="In order of position.")
    after: int | None = Field(default=None, description="Ask for the next page with it.")


class Upload(Frozen):
    """POST and GET /v1/uploads: a file that recipes may name `ID/NAME` in their source."""

    id: str = Field(description="`upload:` and its hash.")
    sha256: str = Field(description="Of its content.")
    bytes: int = Field(ge=0, description="Its size.")


class DeadBatch(Frozen):
    """GET /v1/dead: a batch that its workers gave up, delivery after delivery."""

    id: int = Field(description="Of the record.")
    run: int | None = Field(description="Of the run; None if what was sent cannot be read.")
    kind: LaneKind = Field(description="Which side it was for.")
    lane: str = Field(description="Slug of its lane.")
    rows: tuple[int, ...] = Field(default=(), description="Positions of its rows in the run.")
    error: str = Field(description="Why it was given up.")
    deliveries: int = Field(description="How often it was handed out.")
    at: datetime = Field(description="UTC.")


class LaneStatus(Frozen):
    """One lane of one worker."""

    slug: str = Field(description="Of the lane.")
    slots: int = Field(description="Calls it can have in flight.")
    busy: int = Field(description="Calls in flight.")
    health: LaneHealth = Field(description="Only `ready` ones take batches.")
    detail: str = Field(default="", description="Why it is not ready.")


class LaneDemand(Frozen):
    """`GET /v1/lanes`: a lane of active runs whose workers need devices of their own."""

    slug: str = Field(description="Of the lane.")
    kind: LaneKind = Field(description="Which service serves it.")
    model: str = Field(description="Model id.")
    gpus: int = Field(description="Devices that each worker of it needs.")
    open: int = Field(description="Cells wanted and not yet answered, of all active runs.")
    in_flight: int = Field(description="Rows published and not yet answered.")
    health: LaneHealth | None = Field(description="None: no worker serves it.")


class WorkerStatus(Frozen):
    """One live worker: `GET /v1/workers`."""

    worker: str = Field(description="Unique name.")
    service: str = Field(description="generator or judge.")
    version: str = Field(description="Of its distribution.")
    seen_s: float = Field(description="Seconds since its last announcement.")
    lanes: tuple[LaneStatus, ...] = Field(default=(), description="What it serves.")


class Problem(Frozen):
    """An error of the API: one line, and where."""

    detail: JsonValue = Field(description="What is wrong and what to do.")
