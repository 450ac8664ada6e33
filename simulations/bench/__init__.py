"""Figures of real nodes on this machine: how long a broadcast takes, and what an idle node costs."""
