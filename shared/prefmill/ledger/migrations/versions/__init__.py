"""One file a revision; names sort in order."""
