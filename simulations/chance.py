"""All randomness of a run, derived from its seed by hashing words: one stream per concern."""

import hashlib
import random


def chance(seed: int, *concern: str | int) -> random.Random:
    """The stream for one concern. Drawing from it never shifts what another concern draws."""
    words = "/".join(str(word) for word in (seed, *concern))
    return random.Random(int.from_bytes(hashlib.sha256(words.encode()).digest()[:16], "big"))
