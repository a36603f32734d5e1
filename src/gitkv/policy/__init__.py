"""The policy: its text, its meaning, and what it lets whom write."""
