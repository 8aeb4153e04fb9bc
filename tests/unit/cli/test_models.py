"""Which workers are started for models that run on this machine, and what each of them sees."""

from pathlib import Path
from typing import Any

from prefmill.cli.stack.devices import Devices
from prefmill.cli.stack.models import LocalModels
from prefmill.contracts.api import LaneDemand


class Nest:
    """Takes the orders of a nursery, and starts nothing."""

    def __init__(self) -> None:
        self.started: dict[str, dict[str, Any]] = {}

    def start(self, name: str, log: Path, settings: dict[str, Any], **more: Any) -> None:
        self.started[name] = {"log": log, **settings, **more}


class Asked:
    """A coordinator with these demands."""

    def __init__(self, *demands: LaneDemand) -> None:
        self._demands = list(demands)

    def lanes(self) -> list[LaneDemand]:
        return self._demands


def demand(slug: str, kind: Any = "generate", gpus: int = 1) -> LaneDemand:
    return LaneDemand(
        slug=slug, kind=kind, model=f"m/{slug}", gpus=gpus, open=9, in_flight=0, health=None
    )


def started(devices: Devices, *demands: LaneDemand) -> tuple[dict[str, dict[str, Any]], list[str]]:
    nest: Any = Nest()
    asked: Any = Asked(*demands)
    said: list[str] = []
    log = Path("logs").joinpath
    LocalModels(nest, log, {"nats_url": "nats://x"}, 13.0, lambda: devices).tend(asked, said.append)
    return nest.started, said


def test_each_worker_sees_its_own_gpus_and_hosts_its_own_lane() -> None:
    found, said = started(
        Devices("GPU", ("4", "5", "GPU-7")), demand("judge", "judge"), demand("large", gpus=2)
    )
    seen = {name: worker["environment"] for name, worker in found.items()}
    assert seen == {
        "generator-large": {"CUDA_VISIBLE_DEVICES": "4,5"},
        "judge-judge": {"CUDA_VISIBLE_DEVICES": "GPU-7"},
    }
    large = found["generator-large"]
    assert (large["service"], large["host_lanes"]) == ("generator", ["large"])
    assert large["nats_url"] == "nats://x"
    assert said[0].startswith("m/large is being loaded on GPU 4, 5; log: ")


def test_without_room_a_model_waits() -> None:
    found, _ = started(Devices("GPU", ("0",)), demand("a"), demand("b"))
    assert list(found) == ["generator-a"]


def test_on_a_cpu_each_worker_has_its_share_of_the_cores() -> None:
    found, said = started(Devices("CPU", ("0", "1")), demand("a", gpus=4), demand("b"))
    seen = [worker["environment"]["VLLM_CPU_OMP_THREADS_BIND"] for worker in found.values()]
    assert len(seen) == 2
    assert "CUDA_VISIBLE_DEVICES" not in found["generator-a"]["environment"]
    assert "is being loaded on the CPU" in said[0]
