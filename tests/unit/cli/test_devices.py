"""Which devices models are put on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefmill.cli.stack.devices import Devices, find_devices


@pytest.mark.parametrize(
    ("environ", "ids"),
    [
        ({"PREFMILL_GPUS": "3"}, ("0", "1", "2")),
        ({"PREFMILL_GPUS": "2,5"}, ("2", "5")),
        ({"PREFMILL_GPUS": "MIG-a, MIG-b"}, ("MIG-a", "MIG-b")),
        ({"PREFMILL_GPUS": "1", "CUDA_VISIBLE_DEVICES": "4,5"}, ("0",)),
        ({"CUDA_VISIBLE_DEVICES": "4,5"}, ("4", "5")),
    ],
)
def test_the_environment_names_the_gpus(environ: dict[str, str], ids: tuple[str, ...]) -> None:
    assert find_devices(environ) == Devices("GPU", ids)


@pytest.mark.parametrize("environ", [{"PREFMILL_GPUS": "0"}, {"CUDA_VISIBLE_DEVICES": "-1"}])
def test_gpus_can_be_hidden(environ: dict[str, str]) -> None:
    found = find_devices(environ)
    assert found.kind == "CPU" or not found.ids


def test_a_model_says_what_it_lacks() -> None:
    assert "shows none" in Devices("GPU", ()).problem(1)
    assert "it wants 4 GPUs, this machine has 2 GPUs" in Devices("GPU", ("0", "1")).problem(4)
    assert not Devices("GPU", ("0", "1")).problem(2)
    assert not Devices("CPU", ("0",)).problem(4), "on a CPU nothing is counted in GPUs"


def test_each_process_sees_only_its_own_gpus() -> None:
    assert Devices("GPU", ("0", "1", "2")).environment(("1", "2")) == {
        "CUDA_VISIBLE_DEVICES": "1,2"
    }


@given(st.integers(1, 9))
def test_every_share_of_the_cpu_has_a_core(shares: int) -> None:
    devices = Devices("CPU", tuple(map(str, range(shares))))
    bound = [devices.environment((own,))["VLLM_CPU_OMP_THREADS_BIND"] for own in devices.ids]
    assert all(bound)
