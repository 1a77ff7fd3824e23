"""The benchmarks: whole requests against the whole system, warm, medians, with targets."""
