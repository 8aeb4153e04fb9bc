"""What a worker's lanes ask of the service they are part of."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from prefmill.contracts.channels import Channel
from prefmill.contracts.results import Completed, Reply
from prefmill.contracts.work import Batch, LaneKind


class CellWork(Protocol):
    """What a service does: which batches it takes, how it answers a cell, what it replies."""

    @property
    def kind(self) -> LaneKind: ...
    @property
    def batch(self) -> type[Batch]: ...
    @property
    def reply(self) -> Callable[..., Reply]: ...
    @property
    def channel(self) -> Channel: ...

    def begin(self, batch: Any) -> Callable[[Any, Any, Any], Awaitable[Completed]]:
        """How a cell of this batch is answered, given its row, its order and the lane's `call`.
        RecipeError if this worker cannot."""
        ...
