"""The lab: real node processes in network namespaces on one machine, with real cuts."""
