from voiced.engine.loading import load
from voiced.engine.process import ModelChoice


def test_a_talk_keeps_to_what_a_model_of_short_talks_was_trained_on() -> None:
    loaded = load(ModelChoice(model="voiced-mini", device="cpu"))
    assert loaded.options.most_positions == loaded.ready.max_positions == 400
    assert loaded.model.max_positions > 400
