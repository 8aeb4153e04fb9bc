"""From an ordered answer to a request, and from its outcome to the answered cell."""

from prefmill.contracts.chat import Params
from prefmill.contracts.results import GeneratedCell
from prefmill.contracts.work import GenerateCell, GenerateRow
from prefmill.engines.caller import Outcome
from prefmill.plugins.engine import ChatRequest


def request_of(params: Params, row: GenerateRow, cell: GenerateCell) -> ChatRequest:
    """The conversation to go on with, by the batch's parameters and the cell's own seed."""
    return ChatRequest(messages=row.messages, params=params, seed=cell.seed)


def generated(row: GenerateRow, cell: GenerateCell, outcome: Outcome) -> GeneratedCell:
    """The answer, or the failure that stands in its place; the ledger's keys are echoed."""
    completion = outcome.completion
    return GeneratedCell(
        row=row.row,
        sample=cell.sample,
        attempt=cell.attempt,
        last=cell.last,
        digest=cell.digest,
        model=outcome.model,
        usage=outcome.usage,
        latency_ms=outcome.latency_ms,
        failure=outcome.failure,
        text=completion.text if completion else None,
        finish_reason=completion.finish_reason if completion else "",
        principle=cell.principle,
        system=cell.system,
    )
