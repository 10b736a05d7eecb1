"""Services that are not ours: what an experiment's `[target]` says of them, and how they are asked and judged."""
