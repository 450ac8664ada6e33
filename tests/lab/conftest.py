"""The lab's tests make network namespaces: those marked `root` are skipped where that is not allowed."""

import functools
import os
import subprocess
from pathlib import Path

import pytest

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == _HERE and item.get_closest_marker("root") and not _may_make_namespaces():
            item.add_marker(pytest.mark.skip(reason="needs root and the right to make network namespaces"))


@functools.cache
def _may_make_namespaces() -> bool:
    if os.geteuid() != 0:
        return False
    return subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode == 0
