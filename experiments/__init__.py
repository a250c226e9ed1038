"""The programs: flags in, results out. Each is a page long and calls the library for the work."""
