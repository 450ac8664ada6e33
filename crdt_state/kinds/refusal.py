"""What a command says when it makes no sense now."""


class RefusedError(Exception):
    """The caller asked for what cannot be; nothing has changed. `cure` says what to do instead."""

    def __init__(self, message: str, cure: str) -> None:
        super().__init__(message)
        self.message = message
        self.cure = cure

    def __str__(self) -> str:
        return f"{self.message}: {self.cure}"
