"""The built-in transforms. Comes in: one row after the other, as a mapping. Goes out: the row,
changed, or nothing. Never does: add a row, or look at more than the rows that came before.
"""
