"""What was decided and what was done: an append-only store of events, and what is read from it."""
