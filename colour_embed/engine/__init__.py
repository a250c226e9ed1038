"""How the core runs fast and long: state, order, batches, member layouts, driver, checkpoints."""
