"""Which model runs on which devices, until all of them are done."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from prefmill.cli.stack.assignment import Moves, Need, moves

FLEETS = st.integers(1, 4).flatmap(
    lambda devices: st.tuples(
        st.just(tuple(str(n) for n in range(devices))),
        st.lists(
            st.builds(
                Need,
                slug=st.text("abcdefgh", min_size=1, max_size=3),
                kind=st.sampled_from(["generate", "judge"]),
                gpus=st.integers(1, devices),
                open=st.integers(0, 5),
                out=st.integers(0, 2),
                broken=st.booleans(),
            ),
            max_size=6,
            unique_by=lambda need: need.slug,
        ),
        st.randoms(use_true_random=False),
    )
)


@dataclass
class Machine:
    """Devices and workers; a worker that is stopped takes a step to be gone."""

    devices: Sequence[str]
    held: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    ending: set[str] = field(default_factory=set[str])
    loads: list[str] = field(default_factory=list[str])

    def step(self, needs: Sequence[Need]) -> Moves:
        """Ask, check what every answer must keep, and do it."""
        for slug in self.ending:
            del self.held[slug]
        self.ending = set()
        made = moves(needs, self.held, self.devices)
        taken = [device for own in self.held.values() for device in own]
        for slug, own in made.start.items():
            assert slug not in self.held
            assert len(own) == next(need.gpus for need in needs if need.slug == slug)
            taken += own
        assert len(taken) == len(set(taken)), "two workers on one device"
        assert set(taken) <= set(self.devices)
        assert made.stop <= self.held.keys()
        self.held |= made.start
        self.loads += made.start
        self.ending = set(made.stop)
        return made


@given(FLEETS)
def test_no_device_is_ever_shared_and_every_model_is_placed_and_done(fleet: Any) -> None:
    devices, needs, random = fleet
    needs = [replace(need, broken=False, out=need.open) for need in needs]
    machine = Machine(devices)
    for _ in range(200):
        machine.step(needs)
        running = machine.held.keys() - machine.ending
        judges_may = all(not need.open for need in needs if need.kind == "generate")
        for index, need in enumerate(needs):
            useful = need.kind == "generate" or judges_may
            if need.slug in running and need.open and useful and random.random() < 0.7:
                needs[index] = replace(need, open=need.open - 1, out=need.open - 1)
    assert all(not need.open for need in needs), "some model was never done"
    assert len(machine.loads) == len(set(machine.loads)), "each is loaded once for all of its rows"


@given(FLEETS)
def test_any_answer_keeps_the_devices_apart(fleet: Any) -> None:
    devices, needs, random = fleet
    machine = Machine(devices)
    for _ in range(12):
        machine.step(needs)
        needs = [
            replace(
                n, open=random.randint(0, 2), out=random.randint(0, 1), broken=random.random() < 0.2
            )
            for n in needs
        ]


@given(FLEETS)
def test_a_worker_with_work_in_hand_is_never_ended(fleet: Any) -> None:
    devices, needs, _ = fleet
    machine = Machine(devices)
    machine.step(needs)
    busy = {need.slug for need in needs if need.open and need.out and not need.broken}
    assert not machine.step(needs).stop & busy


def need(slug: str, kind: Any = "generate", gpus: int = 1, open: int = 9, **more: Any) -> Need:  # noqa: A002
    return Need(slug, kind, gpus, open, **{"out": open, **more})


def test_models_come_before_judges() -> None:
    made = moves([need("judge", "judge"), need("a"), need("b")], {}, ["0", "1"])
    assert made == Moves({"a": ("0",), "b": ("1",)})


def test_a_judge_takes_the_device_of_a_model_that_is_done() -> None:
    held = {"a": ("0",)}
    needs = [need("a", open=0), need("judge", "judge", out=0)]
    assert moves(needs, held, ["0"]) == Moves({}, frozenset({"a"}))
    assert moves(needs, {}, ["0"]) == Moves({"judge": ("0",)})


def test_nothing_ends_while_nobody_wants_its_devices() -> None:
    assert moves([need("a", open=0)], {"a": ("0",)}, ["0"]) == Moves()


def test_a_large_model_is_not_overtaken_for_ever() -> None:
    needs = [need("large", gpus=2), need("b")]
    assert moves([need("a"), *needs], {"a": ("0",)}, ["0", "1"]) == Moves(), "b waits behind it"
    assert moves([need("a", open=0), *needs], {"a": ("0",)}, ["0", "1"]).stop == {"a"}


def test_a_judge_without_answers_gives_way_to_the_model_that_owes_them() -> None:
    needs = [need("a"), need("judge", "judge", out=0)]
    assert moves(needs, {"judge": ("0",)}, ["0"]).stop == {"judge"}
    busy = [need("a"), need("judge", "judge", out=3)]
    assert moves(busy, {"judge": ("0",)}, ["0"]) == Moves()


def test_a_model_that_cannot_be_loaded_gives_way() -> None:
    needs = [need("a", broken=True), need("b")]
    assert moves(needs, {"a": ("0",)}, ["0"]).stop == {"a"}
    assert moves([need("a", broken=True)], {"a": ("0",)}, ["0"]) == Moves()


def test_a_model_that_wants_more_than_there_is_holds_nobody_up() -> None:
    assert moves([need("huge", gpus=3), need("a")], {}, ["0", "1"]) == Moves({"a": ("0",)})
