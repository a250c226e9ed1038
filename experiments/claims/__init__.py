"""Tests of the tutorial's claims: a study per module, and the functions that they share."""
