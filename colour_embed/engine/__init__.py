"""The training engine: state, pair order, batches, member layouts, driver and checkpoints."""
