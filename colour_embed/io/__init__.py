"""Files: run folders, tables that users bring, and vectors for other tools."""
