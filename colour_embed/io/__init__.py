"""Files: run folders, tables of user data, and vectors for other tools."""
