"""How commands that talk start the engine."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voiced.configuration import Configuration
    from voiced.engine.link import Launch
    from voiced.engine.process import ModelChoice


def launch_in_process(choice: "ModelChoice") -> "Launch":
    """Return what starts the engine of a live talk."""
    from voiced.engine.process import in_process

    return in_process(choice)


def launch_in_thread(choice: "ModelChoice") -> "Launch":
    """Return what starts the engine of a talk on files."""
    from voiced.engine.loading import load
    from voiced.engine.thread import in_thread

    return in_thread(lambda: load(choice))


def model_choice(settings: "Configuration") -> "ModelChoice":
    """Return the model that the settings ask for."""
    from voiced.engine.process import ModelChoice

    engine = settings.engine
    return ModelChoice(
        model=engine.model, device=engine.device, dtype=engine.dtype, threads=engine.threads
    )


def check_wake_word(settings: "Configuration") -> None:
    """Tell what is missing to hear the wake word, before a model is loaded.

    Raises:
        UsageError: the package that hears it.
    """
    from voiced.configuration import NO_WAKE_WORD

    if settings.turns.wake_word != NO_WAKE_WORD:
        from voiced.live.assembly import wake_detector

        wake_detector(settings.turns.wake_word)


def announce_model(settings: "Configuration") -> None:
    """Say on standard error when the model that was found is no full one.

    Raises:
        UsageError: there is no such model.
    """
    from voiced.weights import announce, find_model

    announce(find_model(settings.engine.model))
