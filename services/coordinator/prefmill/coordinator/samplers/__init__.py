"""Samplers: who answers a row.

Comes in: the aliases of a recipe's pool, a seed, a row's position. Goes out: the aliases drawn for
that row. Never does: remember, or look at what a row says; a draw is a function of its position.
"""
