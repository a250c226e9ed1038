"""Figures, frames, videos and the page. Arrays in, files out; nothing is trained here."""
