"""What is told to the person at the terminal when a server cannot be had."""

from pathlib import Path


class EmbeddedError(RuntimeError):
    """An embedded server or its home cannot be used: what is wrong, where, and what to do."""

    def __init__(self, what: str, *, todo: str, log: Path | None = None, lines: str = "") -> None:
        parts = [what]
        if lines:
            parts.append("\n".join(f"  | {line}" for line in lines.splitlines()))
        if log is not None:
            parts.append(f"  Log: {log}")
        parts.append(f"  What to do: {todo}")
        super().__init__("\n".join(parts) if len(parts) > 2 else f"{what} {todo}")
        self.what = what
        self.todo = todo
        self.log = log
