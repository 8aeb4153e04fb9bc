"""The only part that writes results. Replies and dead batches come in, rows of the ledger go out;
exports that are asked for are pooled, formatted and written. It never decides what is to be done
next."""
