"""What holds for every test: a clean environment, quick tests first, and root's tests only as root."""

import os

import pytest

SLOW_TIMEOUT_S = 900  # a test that takes minutes and says no bound of its own


def pytest_configure(config: pytest.Config) -> None:
    """A developer's own FIELDMESH_ variables must not decide what the tests see."""
    for name in [name for name in os.environ if name.startswith(("FIELDMESH_", "_FIELDMESH_"))]:
        del os.environ[name]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("root") and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="needs root, to make network namespaces"))
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_TIMEOUT_S))
    items.sort(key=_patience)  # stable: within a kind, files stay together and in order


def _patience(item: pytest.Item) -> int:
    return 2 if item.get_closest_marker("slow") else 1 if item.get_closest_marker("io") else 0
