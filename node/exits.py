"""What a command's exit code says. Scripts and systemd units rely on these numbers: they are never reused."""

from enum import IntEnum


class Exit(IntEnum):
    OK = 0
    FAILURE = 1  # any failure without a number of its own
    USAGE = 2  # the command line itself is wrong
    TOKEN_WRONG = 10
    TOKEN_USED = 11
    TOKEN_EXPIRED = 12
    STEWARD_NOT_FOUND = 13
    CLOCK_OFF = 14
    NAME_TAKEN = 15
    ROOT_MISMATCH = 16
    NOT_A_STEWARD = 17
    NOT_RUNNING = 18
    ALREADY_MEMBER = 19  # the home already holds a membership, or another node runs in it
    UNHEALTHY = 20  # the check found something
    VIOLATIONS = 21  # an experiment broke an invariant
    INTERNAL = 70  # our mistake
    DISK = 74
    TEMPORARY = 75  # the same command may succeed later
    CONFIGURATION = 78  # systemd does not restart on this one
    INTERRUPTED = 130

    @property
    def code(self) -> str:
        """The name by which JSON and the control socket call it: `not-running`."""
        return self.name.lower().replace("_", "-")

    @classmethod
    def of(cls, code: str) -> "Exit":
        """The exit of this name; FAILURE for a name that only a newer node knows."""
        return cls.__members__.get(code.upper().replace("-", "_"), cls.FAILURE)
