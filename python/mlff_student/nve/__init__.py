"""Whether a student conserves what it must: simulations at constant energy, and verdicts on them."""
