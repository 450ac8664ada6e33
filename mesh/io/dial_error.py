"""Why a dial led nowhere."""

import errno
import os
import socket

_ERRNO_REASONS = {
    errno.ECONNREFUSED: "refused",
    errno.ENETUNREACH: "no-route",
    errno.EHOSTUNREACH: "no-route",
    errno.ENETDOWN: "no-route",
    errno.EHOSTDOWN: "no-route",
    errno.EADDRNOTAVAIL: "no-route",
    errno.EAFNOSUPPORT: "no-route",
    errno.ENODEV: "no-route",
    errno.EINVAL: "no-route",  # a link-local address without its interface
    errno.ETIMEDOUT: "timeout",
}


class DialError(Exception):
    """`reason` is one of those that DialFailed knows."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def network_failure(error: OSError) -> DialError:
    """What an error of the operating system says about the way to the other side."""
    if isinstance(error, socket.gaierror):
        return DialError("no-route", f"the name is not known: {error.strerror}")
    reason = _ERRNO_REASONS.get(error.errno or 0, "other")
    return DialError(reason, os.strerror(error.errno) if error.errno else str(error))
