"""What is wrong with a row."""


class RowFault(Exception):
    """This row cannot be used; the others can. `reason` is a reason code, `detail` one line."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
