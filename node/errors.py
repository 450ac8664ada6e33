"""The one family of errors that a person gets to read: what happened, and what to do next."""

from node.exits import Exit


class FieldmeshError(Exception):
    """`message` says what happened, `cure` what to do next, `exit_code` what scripts can tell it by."""

    def __init__(self, message: str, cure: str = "", exit_code: Exit = Exit.FAILURE) -> None:
        super().__init__(message)
        self.message = message
        self.cure = cure
        self.exit_code = Exit(exit_code)

    @property
    def code(self) -> str:
        return self.exit_code.code

    def as_json(self) -> dict[str, str]:
        """The form in which it crosses the control socket and is printed by --json."""
        return {"code": self.code, "message": self.message, "cure": self.cure}

    @classmethod
    def from_json(cls, error: dict[str, str]) -> "FieldmeshError":
        """The error that `as_json` described, as far as this version understands it."""
        return cls(
            str(error.get("message", "the node gave no reason")),
            str(error.get("cure", "")),
            Exit.of(str(error.get("code", ""))),
        )
