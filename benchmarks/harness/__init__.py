"""The parts of the benchmark: what is asked, what is started, what loads it, and how the figures are told."""
