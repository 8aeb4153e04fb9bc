"""The simulated engine over HTTP, for clients of either wire, and for measuring them.

Comes in: OpenAI chat completions and Anthropic messages, streamed or not. Goes out: what a
simulation makes of them, errors in each wire's own shape, and counts of all that was asked.
Never does: keep a text.
"""
