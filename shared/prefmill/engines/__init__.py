"""Engines: chat completions of an API or a local model, and the one layer that retries them.

Comes in: a ChatRequest. Goes out: a Completion, or a failure that says whose fault it was.
Never does: know of runs, rows, judges or messages; only `caller` waits and tries again.
"""
