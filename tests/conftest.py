"""Property tests are deterministic, and take as long as the machine needs.

`--hypothesis-profile quick` gives them fewer examples: `make test`.
"""

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from prefmill.testing.local_hub import LocalHub

settings.register_profile("prefmill", deadline=None, derandomize=True)
settings.register_profile("quick", settings.get_profile("prefmill"), max_examples=25)
settings.load_profile("prefmill")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So it is for whatever a script starts in the background, and for all that this starts in its
    # turn: Ctrl-C would reach nobody.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """A Hub of this machine, which this process reaches. huggingface_hub reads its variables once,
    when it is imported, which an earlier test may have done with others."""
    with LocalHub() as served:
        monkeypatch.setenv("HF_ENDPOINT", served.address)
        monkeypatch.setenv("HF_TOKEN", "hf_test")
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_PROGRESS_BARS", True)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        yield served
