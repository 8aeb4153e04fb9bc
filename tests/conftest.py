"""Property tests are deterministic, and take as long as the machine needs."""

from hypothesis import settings

settings.register_profile("prefmill", deadline=None, derandomize=True)
settings.load_profile("prefmill")
