from pathlib import Path

import pytest

from mesh.io.broker import BrokerSettings
from tests.mesh_io.brokers import settings_for
from tests.mesh_io.certificates import Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "site")


@pytest.fixture
def settings(tmp_path: Path, site: Site) -> BrokerSettings:
    return settings_for(tmp_path, site, site.node("owner"))
