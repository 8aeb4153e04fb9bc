"""What a recipe means and which cells it lacks: plain functions on frozen values, no I/O."""
