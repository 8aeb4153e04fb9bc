"""No more calls go out than can be afforded: of a judge's row, each aspect is one."""

from .rig import Rig, recipe, reply_to


async def test_what_cannot_be_afforded_yet_goes_out_later_and_each_cell_once(rig: Rig) -> None:
    await rig.submit(recipe())
    assert await rig.step(most=4) == 4, "three rows of one model, one of the other"
    assert await rig.step() == 2
    await rig.store(*(reply_to(batch) for batch in await rig.take()))
    assert await rig.count("answer") == 6
    assert await rig.step(most=4) == 2, "two aspects: each row is two calls"
    assert await rig.step(most=1) == 1, "one row goes out in any case"
    await rig.store(*(reply_to(batch) for batch in await rig.take()))
    assert await rig.count("verdict") == 6
    assert await rig.step() == 0
    assert await rig.count("batch") == 0
