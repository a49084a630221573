"""What the user sees of a live talk, and the keys."""
