"""Use cases of a reader and writer: get, set, list, history, wait, and the set-up of a clone."""
