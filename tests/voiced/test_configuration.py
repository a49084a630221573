"""Where settings come from, and what is said of wrong ones."""

from pathlib import Path

import pytest

from tests.permissions import without_root
from voiced.configuration import (
    SECTIONS,
    SETTINGS,
    Configuration,
    Loaded,
    changed_settings,
    configuration_path,
    load_configuration,
)
from voiced.errors import UsageError
from voiced.setting_types import Value


def load(
    path: Path, text: str | None = None, environment: dict[str, str] | None = None, **options: Value
) -> Loaded:
    if text is not None:
        path.write_text(text, encoding="utf-8")
    return load_configuration(path, environment=environment or {}, options=options)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def test_names_are_unique_among_all_sections() -> None:
    num_fields = sum(len(cls.__dataclass_fields__) for cls in SECTIONS.values())
    assert len(SETTINGS) == num_fields
    assert len({setting.option for setting in SETTINGS.values()}) == num_fields


def test_defaults_are_values_that_could_be_set() -> None:
    for setting in SETTINGS.values():
        if setting.default is not None:
            assert setting.kind.from_toml(setting.default, Path()) == setting.default


def test_without_a_file_everything_is_as_by_default(path: Path) -> None:
    loaded = load(path)
    assert loaded.configuration == Configuration()
    assert {one.origin for one in loaded.values.values()} == {"default"}


def test_the_file_is_looked_for_where_the_user_keeps_configurations(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert configuration_path() == tmp_path / "voiced" / "config.toml"


def test_options_go_above_variables_and_these_above_the_file(path: Path) -> None:
    loaded = load(
        path,
        '[sound]\ninput_device = "USB"\noutput_device = "USB"\nheadset = true\n',
        {"VOICED_OUTPUT_DEVICE": "HDMI", "VOICED_HEADSET": "off"},
        headset=True,
    )
    sound = loaded.configuration.sound
    assert (sound.input_device, sound.output_device, sound.headset) == ("USB", "HDMI", True)
    origins = {name: (one.origin, one.where) for name, one in loaded.values.items()}
    assert origins["input_device"] == ("file", f"{path}:2")
    assert origins["output_device"] == ("environment", "VOICED_OUTPUT_DEVICE")
    assert origins["headset"] == ("option", "--headset")
    assert origins["device"] == ("default", "")


def test_an_empty_variable_is_as_good_as_none(path: Path) -> None:
    assert load(path, environment={"VOICED_MODEL": ""}).configuration.engine.model is None


def test_a_device_may_be_given_by_its_number(path: Path) -> None:
    assert load(path, "[sound]\ninput_device = 3\n").configuration.sound.input_device == "3"


def test_whole_numbers_are_numbers(path: Path) -> None:
    assert load(path, "[reply]\nmax_reply_s = 20\n").configuration.reply.max_reply_s == 20.0


def test_a_folder_counts_from_the_file_and_home_is_known(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    assert load(path, '[session]\nrecord = "talks"\n').configuration.session.record == (
        path.parent / "talks"
    )
    assert load(path, '[session]\nrecord = "~/talks"\n').configuration.session.record == Path(
        "/home/ann/talks"
    )
    given = load(path, environment={"VOICED_RECORD": "here"}).configuration.session.record
    assert given == Path("here")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[sound]\nhedset = true",
            "{path}:2: no setting 'hedset' in [sound]; did you mean 'headset'?",
        ),
        (
            "[sound]\n\npush_to_tlk = true",
            "{path}:3: no setting 'push_to_tlk' in [sound]; did you mean 'push_to_talk' in [turns]?",
        ),
        (
            "[reply]\nheadset = true",
            "{path}:2: no setting 'headset' in [reply]; it belongs to [sound]",
        ),
        (
            "[session]\nxyz = 1",
            "{path}:2: no setting 'xyz' in [session]: expected 'record'",
        ),
        ("# a\n[sonud]\n", "{path}:2: no section 'sonud'; did you mean [sound]?"),
        (
            "[zzz]\n",
            "{path}:1: no section 'zzz': expected 'engine', 'sound', 'turns', 'reply' or 'session'",
        ),
        (
            "headset = true",
            "{path}:1: 'headset' stands in no section: expected it below [sound]",
        ),
        (
            "sound = 1",
            "{path}:1: 'sound' is a section: expected [sound] on a line of its own, and settings below it",
        ),
        (
            '[sound]\nheadset = "yes"',
            "{path}:2: sound.headset is 'yes': expected true or false",
        ),
        ("sound.headset = 1", "{path}:1: sound.headset is 1: expected true or false"),
        ("sound = { headset = 1 }", "{path}: sound.headset is 1: expected true or false"),
        (
            "[engine]\nthreads = 1.5",
            "{path}:2: engine.threads is 1.5: expected a whole number of threads from 1 to 1024",
        ),
        (
            "[engine]\nthreads = true",
            "{path}:2: engine.threads is true: expected a whole number of threads from 1 to 1024",
        ),
        (
            "[turns]\n# longest_turn_s = 3\nlongest_turn_s = 1",
            "{path}:3: turns.longest_turn_s is 1: expected a number of seconds from 2 to 60",
        ),
        (
            "[turns]\nlongest_turn_s = nan",
            "{path}:2: turns.longest_turn_s is nan: expected a number of seconds from 2 to 60",
        ),
        (
            "[reply]\ntranscripts = true",
            "{path}:2: reply.transcripts is true: expected 'auto', 'on' or 'off'",
        ),
        (
            "[sound]\ninput_device = -1",
            "{path}:2: sound.input_device is -1: expected the number of a device or a part of its name",
        ),
        (
            '[engine]\nmodel = ""',
            "{path}:2: engine.model is '': expected a folder, a hub name or an alias that 'voiced models' lists",
        ),
        (
            "[session]\nrecord = '~nobody-of-that-name/x'",
            "{path}:2: session.record is '~nobody-of-that-name/x': expected the path of a folder; no user has that name",
        ),
        (
            "[sound\n",
            "{path}: not valid TOML: expected ']' at the end of a table declaration (at line 1, column 7); mend it there",
        ),
    ],
)
def test_what_is_wrong_in_the_file_is_told_with_its_place(
    path: Path, text: str, message: str
) -> None:
    with pytest.raises(UsageError) as error:
        load(path, text)
    assert str(error.value) == message.format(path=path)


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        (
            "VOICED_HEADSETS",
            "1",
            "environment: no setting VOICED_HEADSETS; did you mean VOICED_HEADSET? else unset it",
        ),
        (
            "VOICED_HEADSET",
            "perhaps",
            "environment: VOICED_HEADSET is 'perhaps': expected true or false",
        ),
        (
            "VOICED_MAX_REPLY_S",
            "inf",
            "environment: VOICED_MAX_REPLY_S is inf: expected a number of seconds from 0.1 to 600",
        ),
    ],
)
def test_wrong_variables_are_told(path: Path, variable: str, text: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        load(path, environment={variable: text})
    assert str(error.value) == message


def test_other_variables_of_the_prefix_mean_nothing_here(path: Path) -> None:
    loaded = load(path, environment={"VOICED_TOKEN": "secret", "HEADSET": "on"})
    assert loaded.configuration == Configuration()


def test_a_file_that_may_not_be_read_is_told(path: Path) -> None:
    path.write_text("")
    path.chmod(0)
    with without_root(), pytest.raises(UsageError, match="cannot read the configuration"):
        load(path)


def test_a_file_that_is_no_text_is_told(path: Path) -> None:
    path.write_bytes(b"[sound]\n\xff")
    with pytest.raises(UsageError, match="byte 8 is not UTF-8"):
        load(path)


def test_a_folder_in_its_place_is_told(path: Path) -> None:
    path.mkdir()
    with pytest.raises(UsageError, match="is a directory"):
        load(path)


def test_a_long_wrong_value_is_shortened(path: Path) -> None:
    with pytest.raises(UsageError) as error:
        load(path, f"[reply]\ntranscripts = '{'a' * 1000}'")
    assert len(str(error.value)) < 250 + len(str(path))


def test_after_a_change_of_the_file_it_is_known_what_changed(path: Path) -> None:
    before = load(path, "[sound]\nheadset = true\n")
    after = load(path, "[sound]\nheadset = true\n[reply]\npreemptive = false\n")
    assert [setting.key for setting in changed_settings(before, after)] == ["reply.preemptive"]


def test_a_wake_word_is_one_of_a_few_words(path: Path) -> None:
    assert load(path).configuration.turns.wake_word == "off"
    assert load(path, '[turns]\nwake_word = "hey jarvis"\n').configuration.turns.wake_word == (
        "hey jarvis"
    )
    expected = "expected 'off', 'alexa', 'hey jarvis', 'hey mycroft' or 'okay nabu'"
    with pytest.raises(UsageError, match=f"VOICED_WAKE_WORD is 'computer': {expected}"):
        load(path, environment={"VOICED_WAKE_WORD": "computer"})


def test_a_wake_word_and_a_key_to_talk_exclude_each_other(path: Path) -> None:
    text = "[turns]\npush_to_talk = true\n"
    with pytest.raises(UsageError) as raised:
        load(path, text, wake_word="alexa")
    assert str(raised.value) == (
        f"turns.push_to_talk ({path}:2) and turns.wake_word (--wake-word) are both on: expected one of them, as either "
        "alone says when to listen; switch one off with --no-push-to-talk or --wake-word off"
    )
    loaded = load(path, text, wake_word="alexa", push_to_talk=False)
    assert loaded.configuration.turns.wake_word == "alexa"
