"""The same cores under a virtual clock and a faulty network: seeded, checked, reproducible."""
