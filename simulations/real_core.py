"""The real core, as the simulator makes it: the same `NodeCore` that a node process runs."""

from collections.abc import Sequence

from mesh.roster import TABLE, MemberEntry, encode_entry
from node.core import Birth, CoreConfig, Keys, NodeCore
from simulations.cores import Core, MakeCore, Nativity
from simulations.disk import Tables
from simulations.keys import NodeKeys


def core_maker(config: CoreConfig) -> MakeCore:
    """Makes nodes of this configuration."""

    def make(nativity: Nativity) -> Core:
        born = nativity.keys
        keys = Keys(born.identity, born.root, nativity.chain, born.tls_public, born.authority)
        birth = Birth(nativity.incarnation, nativity.boot, nativity.started_ms)
        return NodeCore(config, keys, birth, nativity.saved, nativity.random)

    return make


def founding_tables(known: Sequence[NodeKeys]) -> Tables:
    """The store of a node that knows these as members."""
    entries = {
        f"m:{keys.identity.node}": encode_entry(MemberEntry(keys.chain, keys.identity.public))
        for keys in known
    }
    return {TABLE: entries}


def full_mesh_max() -> int:
    """Up to how many nodes every pair is linked."""
    return CoreConfig().full_mesh_max
