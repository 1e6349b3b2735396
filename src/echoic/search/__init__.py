"""Finding files: what is asked for, among which files, and which of them fit best."""
