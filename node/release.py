"""Which release this is."""

from importlib.metadata import PackageNotFoundError, version


def _release() -> str:
    try:
        return version("fieldmesh")
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "0+source"


RELEASE = _release()
