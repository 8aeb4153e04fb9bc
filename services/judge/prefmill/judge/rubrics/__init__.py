"""How a judge is asked about the texts of a row, and how its answer is read.

Comes in: a row with its generations and an aspect; later the judge's answer as text or JSON. Goes
out: a question (messages and a JSON schema), and one reading per shown text. Never does: I/O after
construction, a call, or a guess; what cannot be read says why.
"""
