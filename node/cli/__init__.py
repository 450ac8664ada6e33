"""The command line, one module a command; a module is imported only when its command runs."""
