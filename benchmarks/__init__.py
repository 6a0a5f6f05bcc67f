"""Programs that measure: each states its limit and a named peer, and writes benchmarks/results/."""
