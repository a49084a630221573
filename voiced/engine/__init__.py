"""The engine: the process, or thread, that owns the model and every tensor, and what the daemon knows of it.

The daemon imports `client`, `session`, `messages`, and `process` or `thread`; of these only `thread` imports torch.
What happens in it, and which figures hold: docs/engine.md.
"""
