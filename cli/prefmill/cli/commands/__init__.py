"""The commands, one file each. Comes in: checked arguments. Goes out: lines on stdout, and Stop
with an exit code. Never does: import more than its own start needs, since every command is imported
only when it runs."""
