"""Figures, video frames and the interactive page, drawn from arrays; nothing is trained here.

style: style sheet, panels, one legend per figure, reference lines, saving.
embedding: items in their own colours or by group, with names.
curves: losses against the epoch, and calibration.
intervals: statistics with intervals, and counts of outcomes.
cards: HTML of results in notebooks.
raster, overlay, encode: points, text and encoder of a video, for `colour_embed.animation`.
page: the interactive page of a run.
"""
