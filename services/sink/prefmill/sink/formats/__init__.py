"""Formats: a scored row becomes records of training data.

Comes in: scored rows, one at a time. Goes out: for each config of the format, the row's records
and its one outcome. Never does: I/O, pooling, or looking at more than one row.

Every record keeps the row's `id` and, as one JSON text in `metadata`, the columns its source had
beside the prompt; so no column of a source can collide with one of ours.
"""
