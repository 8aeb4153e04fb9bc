"""Everything that varies: what a plugin of each group must offer, and how it is found by name.

Comes in: a group and what a recipe wrote. Goes out: the plugin, made from its checked options.
Never does: know a built-in plugin; they come in by the same door as any other.
"""
