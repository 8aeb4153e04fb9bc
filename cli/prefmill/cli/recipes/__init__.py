"""Recipes as people write them. Comes in: a YAML file and what the command line sets. Goes out: a
checked `Recipe`, with the file and line of every key for messages. Never does: look at the data a
recipe names, or make a plugin."""
