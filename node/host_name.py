"""A node's name, made from the name of the machine it runs on."""

import re
import socket

NAME_CHARS_MAX = 40
FALLBACK = "node"


def name_of_host(host: str | None = None) -> str:
    """The first label of the host name, as far as a node's name may be that."""
    label = (socket.gethostname() if host is None else host).split(".")[0].lower()
    return re.sub(r"[^a-z0-9]+", "-", label)[:NAME_CHARS_MAX].strip("-") or FALLBACK
