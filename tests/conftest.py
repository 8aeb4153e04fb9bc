"""Property tests are deterministic, and take as long as the machine needs.

`--hypothesis-profile quick` gives them fewer examples: `make test`.
"""

from hypothesis import settings

settings.register_profile("prefmill", deadline=None, derandomize=True)
settings.register_profile("quick", settings.get_profile("prefmill"), max_examples=25)
settings.load_profile("prefmill")
