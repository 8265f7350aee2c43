"""What the dispatcher decides, without I/O: order, placement, batches, the tables of the stash, what it counts."""
