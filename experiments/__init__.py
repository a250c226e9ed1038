"""Command-line programs on top of the library: each parses flags and writes a run folder."""
