"""The shared picture: CRDT documents of signed records, their conflicts and their generations."""
