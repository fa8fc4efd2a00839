"""The command line: one file per command, and nothing that the library could not do without it."""
