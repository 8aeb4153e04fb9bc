"""The truth: what was asked for and what is stored, in Postgres.

Comes in: recipes, rows, batches, results. Goes out: which cells are lacking, how far a run is,
finished rows. Never does: decide; and no SQL stands anywhere else.
"""
