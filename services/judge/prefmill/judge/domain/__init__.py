"""The rules of judging. Comes in: ordered verdicts, outcomes, rubrics. Goes out: requests, and
verdicts in the row's own order. Never does: I/O."""
