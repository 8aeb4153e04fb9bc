"""Sources: prompts, streamed in a fixed order from where they lie.

Comes in: a path, a Hub repository or a list in the recipe. Goes out: one `Prompt` per row, with its
id, conversation, reference, given responses and all other columns as metadata; a row that cannot be
used goes out with its failure. Never does: hold a dataset in memory, skip a row in silence, or
write anything.
"""
