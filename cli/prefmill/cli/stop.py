"""How a command ends early: an exit code and what to tell the person at the terminal."""

from typing import Final

FAILED: Final = 1
WRONG: Final = 2
ROWS_FAILED: Final = 3
INTERRUPTED: Final = 130


class Stop(Exception):
    """Ends the command with `code`; each line is printed to stderr."""

    def __init__(self, code: int, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.code = code
        self.lines = lines
