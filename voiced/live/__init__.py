"""The live assistant: somebody talks, voiced answers."""
