"""The generator: answers prompts with the models of its lanes.

Comes in: `GenerateBatch` of its lanes. Goes out: `BatchGenerated`, whole or in part, and signs of
life. Never does: know about runs, judges or the database; retry a call; keep anything.
"""
