"""What `preference` and `trl` share: a row becomes its pairs, or says why not."""

from prefmill.plugins.format import FormatContext, ScoredRow, Written
from prefmill.sink.domain.pairing import Paired, pairs
from prefmill.sink.formats.columns import Record


def paired(row: ScoredRow, context: FormatContext) -> Paired:
    """The pairs of a row, which has none if it makes no judged data."""
    if row.dropped is not None:
        return Paired((), "dropped", row.dropped)
    return pairs(row.row, row.scores, context.pairing, context.seed)


def written(found: Paired, records: list[Record]) -> Written:
    """The records that the pairs became, with the row's outcome."""
    return Written(tuple(records), found.outcome, found.reason)
