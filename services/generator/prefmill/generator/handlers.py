"""What the generator does with each message."""

from collections.abc import Awaitable, Callable
from typing import Final

from prefmill.contracts.channels import GENERATED
from prefmill.contracts.results import BatchGenerated, GeneratedCell
from prefmill.contracts.work import GenerateBatch, GenerateCell, GenerateRow, LaneKind
from prefmill.engines.caller import Outcome
from prefmill.generator.domain.answers import generated, request_of
from prefmill.plugins.engine import ChatRequest

Call = Callable[[ChatRequest], Awaitable[Outcome]]


class Generating:
    """GenerateBatch → BatchGenerated, cell by cell."""

    kind: LaneKind = "generate"
    batch = GenerateBatch
    reply = BatchGenerated
    channel = GENERATED

    def begin(
        self, batch: GenerateBatch
    ) -> Callable[[GenerateRow, GenerateCell, Call], Awaitable[GeneratedCell]]:
        """How the cells of this batch are answered."""
        params = batch.params

        async def generate(row: GenerateRow, cell: GenerateCell, call: Call) -> GeneratedCell:
            return generated(row, cell, await call(request_of(params, row, cell)))

        return generate


HANDLERS: Final = {GenerateBatch: Generating}
"""LanesOpened and BatchesWithdrawn are for every worker alike: prefmill.messaging.worker."""
