"""The rules by which finished rows become data: plain functions on frozen values.

Comes in: finished rows. Goes out: their scores, the pairs they make, the one outcome each has, and
what the card says about all of them. Never does: I/O, an unseeded draw, a format's columns.
"""
