"""Contexts for dialling: what is accepted into service, and what keeps the old one there."""

import shutil
import ssl
from contextlib import suppress
from pathlib import Path

import pytest

from mesh.io.dial_error import DialError
from mesh.io.tls import TlsError, TlsSource, handshake_failure, peer_of
from tests.mesh_io.certificates import Bundle, Site
from tests.mesh_io.link_fixtures import bundle_of_the_past


@pytest.fixture
def bundle(site: Site) -> Bundle:
    return site.node("anna")


def source(site: Site, bundle: Bundle) -> TlsSource:
    return TlsSource(bundle.pem, site.root_pem)


def test_a_context_speaks_tls_1_3_only_and_trusts_the_root_alone(site: Site, bundle: Bundle) -> None:
    context = source(site, bundle).context()
    assert context.minimum_version == ssl.TLSVersion.TLSv1_3
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.get_ca_certs(binary_form=True) == [site.root.certificate]


def test_the_context_is_made_once_and_anew_on_refresh(site: Site, bundle: Bundle) -> None:
    tls = source(site, bundle)
    first = tls.context()
    assert tls.context() is first
    site.renew(bundle)
    tls.refresh()
    assert tls.context() is not first


def test_a_key_of_another_certificate_keeps_the_old_context(site: Site, bundle: Bundle) -> None:
    tls = source(site, bundle)
    first = tls.context()
    lines = bundle.pem.read_text().partition("-----BEGIN PRIVATE KEY-----")
    other = site.node("boris").pem.read_text().partition("-----BEGIN PRIVATE KEY-----")
    bundle.pem.write_text(lines[0] + other[1] + other[2])
    with pytest.raises(TlsError, match="do not belong together; restore"):
        tls.refresh()
    assert tls.context() is first


def test_a_certificate_of_another_site_keeps_the_old_context(
    site: Site, bundle: Bundle, tmp_path: Path
) -> None:
    tls = source(site, bundle)
    first = tls.context()
    shutil.copy(Site(tmp_path / "other").node("anna").pem, bundle.pem)
    with pytest.raises(TlsError, match="is not of this site"):
        tls.refresh()
    assert tls.context() is first


@pytest.mark.parametrize("content", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_a_damaged_file_is_told_with_its_cure(site: Site, bundle: Bundle, content: bytes) -> None:
    bundle.pem.write_bytes(content)
    with pytest.raises(TlsError, match="restore the file or join the site again"):
        source(site, bundle).context()


def test_a_missing_file_is_told_by_name(site: Site, bundle: Bundle) -> None:
    bundle.pem.unlink()
    with pytest.raises(TlsError, match="No such file"):
        source(site, bundle).context()


def test_dates_do_not_keep_a_certificate_out_of_service(site: Site) -> None:
    """Our clock may be wrong, or a steward's a little ahead; the core judges time, not this."""
    source(site, bundle_of_the_past(site, "late")).context()
    source(site, bundle_of_the_past(site, "early", days_ago=-1)).context()


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext) -> None:
    """A whole handshake in memory."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = (client.wrap_bio(back, there), server.wrap_bio(there, back, server_side=True))
    for side in sides * 3:
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()


def serving(bundle: Bundle) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(bundle.pem)
    return context


@pytest.mark.parametrize("days_ago", [3, -1])
def test_a_broker_whose_certificate_looks_late_or_early_is_left_to_the_greeting(
    site: Site, bundle: Bundle, days_ago: int
) -> None:
    """Whoever's clock is wrong could not learn the time from anybody, were dates judged here."""
    shake_hands(source(site, bundle).context(), serving(bundle_of_the_past(site, "boris", days_ago=days_ago)))


def test_a_broker_of_another_root_is_refused_whatever_its_dates(
    site: Site, bundle: Bundle, tmp_path: Path
) -> None:
    stranger = bundle_of_the_past(Site(tmp_path / "other"), "boris")
    with pytest.raises(ssl.SSLCertVerificationError) as refused:
        shake_hands(source(site, bundle).context(), serving(stranger))
    assert handshake_failure(refused.value).reason == "wrong-root"


class Certified:
    """As much of an SSLSocket as is asked."""

    def __init__(self, name: str, *uris: str) -> None:
        self._name, self._uris = name, uris

    def getpeercert(self) -> object:
        subject = ((("commonName", self._name),),)
        return {"subject": subject, "subjectAltName": tuple(("URI", uri) for uri in self._uris)}


NODE = "a" * 26


def test_the_peer_is_the_common_name_when_the_site_is_ours(site: Site) -> None:
    assert peer_of(Certified(NODE, f"fieldmesh://{site.site}/{NODE}/anna"), site.site) == NODE  # type: ignore[arg-type]  # a stand-in


@pytest.mark.parametrize(
    ("name", "uri"),
    [
        ("www.example.org", "fieldmesh://{site}/www.example.org/x"),
        (NODE, "fieldmesh://another/" + NODE + "/anna"),
        (NODE, "fieldmesh://{site}/" + "b" * 26 + "/anna"),
        (NODE, "http://plant"),
    ],
)
def test_a_certificate_that_names_no_node_of_the_site_is_refused(site: Site, name: str, uri: str) -> None:
    with pytest.raises(DialError) as refused:
        peer_of(Certified(name, uri.format(site=site.site)), site.site)  # type: ignore[arg-type]  # a stand-in
    assert refused.value.reason == "not-a-node"


def test_an_unknown_tls_error_is_still_told() -> None:
    error = handshake_failure(ssl.SSLError(1, "[SSL: SOMETHING_NEW] something new"))
    assert (error.reason, error.detail) == ("other", "TLS: SSLError")
