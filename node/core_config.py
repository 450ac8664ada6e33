"""From what a person sets to what the core is told."""

from mesh.dialling import Config as DiallingConfig
from mesh.hearing import Config as HearingConfig
from mesh.state import CoreConfig
from mesh.world_config import WorldConfig
from node.config import Config
from node.release import RELEASE

STALL_MIN_S = 0.75  # an idle core wakes once a beat; later than both of these, we were not running
STALL_BEATS = 1.5


def core_config(config: Config) -> CoreConfig:
    membership = config.membership
    return CoreConfig(
        hearing=HearingConfig(
            beat_s=membership.beat_s,
            doubt_after_s=membership.beat_s * 2,
            suspect_after_s=membership.suspect_after_s,
            unreachable_after_s=membership.unreachable_after_s,
            stall_s=max(STALL_MIN_S, STALL_BEATS * membership.beat_s),
        ),
        dialling=DiallingConfig(),
        full_mesh_max=membership.full_mesh_max,
        overlay_degree=membership.overlay_degree,
        certificate_days=config.trust.certificate_days,
        is_leaf=config.fabric.mode == "leaf",
        world=WorldConfig(absence_days=config.world.absence_days),
        release=RELEASE,
    )
