"""Which model the engine serves: found, loaded, and warmed up, so that the first turn is as fast as the others."""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from audio.chunk import Samples
from models.lfm2_audio import AudioFrame, Lfm2Audio, Mode, Sampling
from voiced.demonstration import Demonstration, read_demonstration
from voiced.engine.core import EngineOptions, Read
from voiced.engine.messages import Ready, Speak
from voiced.engine.model import EngineModel
from voiced.engine.process import ModelChoice
from voiced.engine.runner import Loaded
from voiced.engine.talk import MOST_POSITIONS, append_said
from voiced.speech import speak
from voiced.speech_model import HEARING_RATE_HZ
from voiced.timing import SystemClock
from voiced.voices import VOICES
from voiced.weights import FoundModel, choose_device, choose_dtype, find_model

# The work of a smaller model's step is too little to share: its threads mostly wait for each other, and where other
# programs compute too a reply took 67 s of processor time instead of 5 (hidden size 64, 2 cores, November 2026).
SHARED_FROM_HIDDEN_SIZE = 512
WARM_STEPS = 20  # Text and sound.


def load(choice: ModelChoice) -> Loaded:
    """Return the model of `choice`, warmed up.

    Raises:
        UsageError: no such model or device.
        CheckpointError: the folder is incomplete, damaged or of another model.
    """
    clock = SystemClock()
    begun_s = clock.now_s()
    found = find_model(choice.model)
    demonstration = read_demonstration(found.folder)
    model = load_model(found, choice)
    warm_up(model)
    options = EngineOptions()
    if demonstration is not None:
        options = EngineOptions(
            reply=demonstration.reply,
            read=_reader(model, demonstration),
            longest_piece_s=demonstration.longest_piece_s,
            most_positions=demonstration.talk_positions or MOST_POSITIONS,
        )
    ready = Ready(
        name=found.name,
        load_s=clock.now_s() - begun_s,
        device=str(model.device),
        dtype=str(model.dtype).removeprefix("torch."),
        voices=tuple(VOICES) if demonstration is None else demonstration.voices,
        demonstration=None if demonstration is None else demonstration.name,
        closed_vocabulary=demonstration is not None and demonstration.closed_vocabulary,
        longest_piece_s=options.longest_piece_s,
        max_positions=min(options.most_positions, model.max_positions),
    )
    return Loaded(model, ready, options)


def _reader(model: Lfm2Audio, demonstration: Demonstration) -> Read:
    """Return what reads texts aloud as the demonstration model was trained to."""

    def read(request: Speak, warn: Callable[[str], None]) -> Iterator[Samples]:
        demonstration.check_voice(request.voice)
        demonstration.check_words(model.tokenizer, request.text)
        return speak(
            model,
            request.text,
            voice=request.voice,
            seed=request.seed,
            sampling=demonstration.speech,
            max_piece_chars=demonstration.max_piece_chars,
            min_piece_chars=demonstration.min_piece_chars,
            warn=warn,
        )

    return read


def load_model(found: FoundModel, choice: ModelChoice) -> Lfm2Audio:
    """Return the model in the folder that was found, where and in the number format that `choice` asks for.

    Raises:
        UsageError: no such device.
        CheckpointError: the folder is incomplete, damaged or of another model.
    """
    device, dtype = choose_device(choice.device), choose_dtype(choice.dtype)
    # voiced-mini's weights are bfloat16 for the size of the file. Computing in float32 on a CPU takes two thirds of the
    # time: 0.16 of a reply's length against 0.26 (one thread; with two 0.14 against 0.22; 2 Zen 4 cores, November 2026).
    if dtype is None and device == "cpu" and read_demonstration(found.folder) is not None:
        dtype = torch.float32
    model = Lfm2Audio.load(found.folder, device=device, dtype=dtype)
    if choice.threads is not None:
        torch.set_num_threads(choice.threads)
    elif model.config.lfm.hidden_size < SHARED_FROM_HIDDEN_SIZE:
        torch.set_num_threads(1)
    return model


def warm_up(model: EngineModel) -> None:
    """Do once what a turn does, so that kernels are chosen and weights are in memory."""
    encoded = model.encode_audio(np.zeros(HEARING_RATE_HZ, np.float32))
    conversation = model.conversation()
    append_said(conversation, encoded)
    conversation.prefill()
    decoder = model.decoder()
    for step in conversation.generate(
        Mode.INTERLEAVED, max_steps=WARM_STEPS, sampling=Sampling(audio_temperature=1.0)
    ):
        if isinstance(step, AudioFrame) and step.is_sound:
            decoder.push(step.codes)
