"""What leaves the plant and what comes back: outboxes, the gateway's cover, and the one egress filter."""
