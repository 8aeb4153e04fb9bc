"""A model of vLLM within this process, and its engine core in processes below it.

Comes in: chat requests. Goes out: completions, metrics, how many calls keep it busy, its end.
Never does: import vLLM before a model is to be started.
"""
