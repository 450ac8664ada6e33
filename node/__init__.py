"""One node: the cores composed, their driver, its home folder and its command line."""
