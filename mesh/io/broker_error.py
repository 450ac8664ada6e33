"""The one exception of the broker adapter."""


class BrokerError(Exception):
    """The node's own broker cannot run; `code` is stable, `cure` says what to do next."""

    def __init__(self, code: str, message: str, cure: str) -> None:
        super().__init__(message)
        self.code, self.message, self.cure = code, message, cure
