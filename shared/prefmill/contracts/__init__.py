"""What the parts of prefmill say to each other, and what a user says to prefmill.

Comes in: nothing. Goes out: frozen pydantic models for every message, for the recipe and for the
HTTP API, and the table of channels. Never does: I/O; it imports pydantic and the standard library.
"""
