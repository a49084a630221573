"""The small world that voiced-mini knows: its questions, answers and dialogues, drawn from a seed."""

from training.world.exchanges import NOT_UNDERSTOOD, Exchange, World, is_held_out

__all__ = ["NOT_UNDERSTOOD", "Exchange", "World", "is_held_out"]
