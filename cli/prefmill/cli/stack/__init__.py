"""The whole line on one machine. Comes in: a home and settings. Goes out: running servers and
services, their restarts and their end, and the address of the coordinator. Never does: import a
service here; a forked process, the nursery, does that while the command still reads the recipe."""
