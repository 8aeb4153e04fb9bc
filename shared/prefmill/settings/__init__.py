"""Settings of the services, from the environment (prefix `PREFMILL_`) or from the code that
starts them. Comes in: strings and values. Goes out: checked, frozen settings. Never does: read a
recipe, hold a secret of an engine."""
