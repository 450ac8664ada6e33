"""The folder that holds all of one node: where everything lies in it, and its keys."""

from pathlib import Path

from mesh.state import Keys
from mesh.trust import Authority, Identity, Root, TrustError, public_of
from node.access import denied
from node.errors import FieldmeshError
from node.exits import Exit
from node.files import write_file
from node.pem import certificates_in, certificates_pem, key_in, key_pem, public_half
from node.run_folder import run_folder


class Home:
    """One node's folder. Constructing it touches nothing."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.config = self.path / "config.toml"
        self.site_root = self.path / "site" / "root.pem"
        self.identity = self.path / "keys" / "identity.pem"
        self.tls = self.path / "keys" / "tls.pem"  # written last: its presence makes the home a node's
        self.authority = self.path / "keys" / "authority.pem"
        self.root_key = self.path / "keys" / "root.pem"
        self.database = self.path / "state.db"
        self.broker = self.path / "broker"
        self.unfinished = self.path / ".unfinished"  # here while the home is being made

    @property
    def is_settled(self) -> bool:
        """Whether a node lives here."""
        try:
            return self.tls.exists()
        except PermissionError:  # the folder can be seen, keys/ is closed
            raise denied(self.path) from None

    def require_settled(self) -> None:
        """FieldmeshError, which says how to make one, when no node lives here."""
        if not self.is_settled:
            raise _not_a_home(self.path)

    def load_keys(self) -> Keys:
        """The node's keys, checked against each other, or FieldmeshError."""
        self.require_settled()
        self._check_permissions()
        try:
            return self._keys()
        except OSError as error:
            raise _unreadable(self.path, f"{error.filename}: {error.strerror}") from None
        except (ValueError, TrustError) as error:
            raise _unreadable(self.path, str(error)) from None

    def install_chain(self, chain: tuple[bytes, ...]) -> None:
        """Puts a new leaf for the key that we have into service, atomically."""
        key = key_in(self.tls.read_bytes())
        if public_of(chain[0]) != public_half(key):
            raise TrustError("wrong-key", "the new certificate is for another key")
        write_file(self.tls, certificates_pem(*chain) + key_pem(key))

    def run_dir(self) -> Path:
        return run_folder(self.path)

    def _keys(self) -> Keys:
        root = Root(certificates_in(self.site_root.read_bytes())[0])
        identity = Identity(key_in(self.identity.read_bytes()))
        tls = self.tls.read_bytes()
        keys = Keys(identity, root, certificates_in(tls), public_half(key_in(tls)), self._authority(root))
        if root.verify_chain(keys.chain).node != identity.node:
            raise ValueError("keys/tls.pem belongs to another node than keys/identity.pem")
        if public_of(keys.chain[0]) != keys.tls_public:
            raise ValueError("the key in keys/tls.pem is not that of its certificate")
        return keys

    def _authority(self, root: Root) -> Authority | None:
        if not self.authority.exists():
            return None
        pem = self.authority.read_bytes()
        authority = Authority(key_in(pem), certificates_in(pem)[0])
        if public_of(authority.certificate) != public_half(key_in(pem)):
            raise ValueError("the key in keys/authority.pem is not that of its certificate")
        root.verify_authority(authority.certificate)
        return authority

    def _check_permissions(self) -> None:
        for path in (self.identity, self.tls, self.authority, self.root_key):
            if path.exists() and path.stat().st_mode & 0o077:
                raise FieldmeshError(
                    f"{path} holds a private key and others on this machine can read it",
                    f"chmod 600 {path}",
                    Exit.CONFIGURATION,
                )


def _not_a_home(path: Path) -> FieldmeshError:
    return FieldmeshError(
        f"no node lives in {path}",
        f"fieldmesh join TOKEN --home {path}\nor, for a new site: fieldmesh site init --home {path} --site NAME",
        Exit.CONFIGURATION,
    )


def _unreadable(path: Path, detail: str) -> FieldmeshError:
    return FieldmeshError(
        f"the keys in {path} cannot be used: {detail}",
        "restore the folders keys/ and site/ from a backup, or join again into an empty home",
        Exit.CONFIGURATION,
    )
