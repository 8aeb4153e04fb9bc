"""The part that decides. Recipes come in over HTTP, results as notices from the ledger; batches
of work go out, and the state of runs. It never calls an LLM and never writes a new result."""
