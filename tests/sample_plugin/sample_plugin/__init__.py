"""One plugin of each group, as a distribution of somebody else's would have it."""
