"""The judge: has the judges of its lanes rate generations against a rubric.

Comes in: `JudgeBatch` of its lanes. Goes out: `BatchJudged`, whole or in part, and signs of life.
Never does: know about runs, pooling or the database; retry a call; keep anything.
"""
