"""Measures prefmill beside a hand-written script that makes the same calls.

In comes nothing but numbers of rows; out comes the table of docs/benchmarks.md, with a profile of
where the CPU goes. Both sides run as processes of their own against one fake LLM server on
loopback, and are watched from outside through /proc. Nothing here is imported by prefmill, and it
imports nothing of prefmill: what is measured is the command as a user starts it.
"""
