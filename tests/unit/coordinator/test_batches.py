"""Cells become batches of bounded size, each row in one."""

from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from prefmill.coordinator.domain.batching import group
from prefmill.coordinator.domain.cells import Lacking
from prefmill.ledger.row_states import CellKey


def _cell(slot: int) -> Lacking:
    where: Any = SimpleNamespace(id=slot, lane=f"lane-{slot}")
    return Lacking(where, CellKey(slot, "", 0, b""), 0, False, b"", b"")


cells = st.lists(st.tuples(st.integers(0, 400), st.integers(1, 3)), max_size=300)


@given(cells=cells, most=st.integers(1, 64), alone=st.frozensets(st.integers(0, 400), max_size=5))
def test_every_cell_is_in_one_batch_of_its_slot_none_too_large_and_all_alike(
    cells: list[tuple[int, int]], most: int, alone: frozenset[int]
) -> None:
    batches = group([(row, _cell(slot)) for row, slot in cells], alone=alone, most=lambda _: most)
    carried = [(row, cast("int", slot)) for slot, _, rows in batches for row in rows]
    assert sorted(carried) == sorted(set(cells))
    sizes: dict[int, list[int]] = {}
    for slot, lane, rows in batches:
        assert lane == f"lane-{slot}"
        assert len(rows) <= most
        if alone & rows.keys():
            assert len(rows) == 1
        else:
            sizes.setdefault(slot, []).append(len(rows))
    for lengths in sizes.values():
        assert max(lengths) - min(lengths) <= 1
        assert len(lengths) == -(-sum(lengths) // most)


def test_the_bound_is_each_lanes_own() -> None:
    bounds = {"lane-1": 2, "lane-2": 4}
    batches = group([(row, _cell(1 + row % 2)) for row in range(8)], most=bounds.__getitem__)
    assert [(slot, len(rows)) for slot, _, rows in batches] == [(1, 2), (1, 2), (2, 4)]
