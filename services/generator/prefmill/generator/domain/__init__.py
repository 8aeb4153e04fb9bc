"""The rules of generation. Comes in: ordered cells and outcomes. Goes out: requests and answered
cells. Never does: I/O."""
