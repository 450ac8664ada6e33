"""Members as people name them: by name or by id."""

from datetime import UTC, datetime

from mesh.ids import NodeId
from mesh.roster import Roster
from node.errors import FieldmeshError
from node.exits import Exit


def the_member(roster: Roster, name_or_id: str) -> NodeId:
    """The one member of this name or id, or FieldmeshError."""
    members = roster.members()
    found = [node for node in members if node == name_or_id] or [
        node for node in members if roster.name(node) == name_or_id
    ]
    if not found:
        _refuse_removed(roster, name_or_id)
        raise FieldmeshError(
            f"there is no member called {name_or_id}", "fieldmesh member list shows all", Exit.USAGE
        )
    if len(found) > 1:
        raise FieldmeshError(
            f"{len(found)} members are called {name_or_id}: {', '.join(sorted(found))}",
            "say which by its id; fieldmesh peers shows which is here",
            Exit.USAGE,
        )
    return found[0]


def the_author(roster: Roster, name_or_id: str) -> NodeId:
    """The same of those who may have written something: also of members that were removed since."""
    for removal in filter(None, map(roster.removal, roster.removed())):
        if name_or_id in (removal.node, removal.name) and roster.find(name_or_id) is None:
            return removal.node
    return the_member(roster, name_or_id)


def _refuse_removed(roster: Roster, name_or_id: str) -> None:
    """FieldmeshError when whoever had this name or id has been removed already."""
    for removal in filter(None, map(roster.removal, roster.removed())):
        if name_or_id in (removal.node, removal.name):
            at = datetime.fromtimestamp(removal.at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
            raise FieldmeshError(
                f"{removal.name} ({removal.node}) was removed already, on {at}: {removal.reason}",
                "nothing is left to do; fieldmesh member list shows everybody who was removed",
                Exit.USAGE,
            )
