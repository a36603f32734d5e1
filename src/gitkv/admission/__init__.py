"""Whether a transaction is let in: O(1) admission, and the deep audit under a policy."""
