"""The tutorial's claims, each put to the test: a short study per file, and what they share."""
