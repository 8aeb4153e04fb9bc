"""Destinations: where datasets go.

Comes in: scored rows in order of position, and what the card should say. Goes out: a folder that
`datasets.load_dataset` opens. Never does: score a row or choose a pair, leave half a file under
its final name, or touch a folder that prefmill did not write.
"""
