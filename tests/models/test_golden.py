"""Every tensor that the published implementation computed, against ours.

Another folder of the same form is tested with VOICED_GOLDEN. Tolerances are those of the folder's README: what another
torch release moves, with room.
"""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.backbone import BackboneCache, forward
from models.detokenizer import Detokenizer
from models.lfm2_audio import AudioFrame, Conversation, EndOfTurn, Mode, TextToken
from models.lfm2_audio.conversation import Role
from models.lfm2_audio.loss import Targets, teacher_forced_losses
from models.lfm2_audio.tokenizer import TURN_END
from models.mimi import Mimi
from models.sampling import StepGenerator
from tests.models.golden import CHECKPOINT, model, tensors

TEXT, AUDIO_IN, AUDIO_OUT = 1, 2, 3  # Modality flags of the golden data.
REPLIES = {
    "asr": (Mode.SEQUENTIAL, 48),
    "tts": (Mode.SEQUENTIAL, 80),
    "interleaved": (Mode.INTERLEAVED, 160),
    "second_turn": (Mode.INTERLEAVED, 60),
}
WAVES = ("question", "short")


class RecordedConversation(Conversation):
    """A conversation that keeps what the golden data calls its input."""

    def __init__(self) -> None:
        self.flags: list[int] = []
        self.tokens: list[int] = []
        self.mel_lengths: list[int] = []
        self.frames: list[Tensor] = []
        super().__init__(model())

    def append_tokens(self, tokens: Sequence[int]) -> None:
        super().append_tokens(tokens)
        self.tokens += tokens
        self.flags += [TEXT] * len(tokens)

    def append_audio(self, samples: NDArray[np.float32]) -> None:
        before = self.num_positions
        super().append_audio(samples)
        self.mel_lengths.append(model().log_mel(samples).shape[1])
        self.flags += [AUDIO_IN] * (self.num_positions - before)

    def append_frames(self, codes: Tensor) -> None:
        super().append_frames(codes)
        self.frames += list(codes.T)
        self.flags += [AUDIO_OUT] * codes.shape[1]


def converse(name: str) -> RecordedConversation:
    """Build the golden conversation `name` as a caller would, up to the opening of the reply."""
    golden, conversation = tensors(), RecordedConversation()
    question, short = (golden[f"wave.{wave}"].numpy() for wave in WAVES)

    def turn(role: Role, *parts: str | NDArray[np.float32]) -> None:
        conversation.begin_turn(role)
        for part in parts:
            conversation.append_text(part) if isinstance(part, str) else conversation.append_audio(
                part
            )
        conversation.end_turn()

    if name == "asr":
        turn("system", "Perform ASR.")
        turn("user", question)
    elif name == "tts":
        turn("system", "Perform TTS. Use the UK male voice.")
        turn("user", "Hello, the house in the other town.")
    else:
        turn("system", "Respond with interleaved text and audio.")
        if name == "interleaved":
            turn("user", question, short)
        else:
            turn("user", short)
            append_golden_answer(conversation)
            turn("user", question)
    conversation.begin_turn("assistant")
    return conversation


def append_golden_answer(conversation: Conversation) -> None:
    """Append the first answer of `second_turn`: 6 tokens, 12 frames, 3 tokens, 8 frames, read off the golden input."""
    conversation.begin_turn("assistant")
    codes = tensors()["second_turn.in.audio_out"]
    flags = tensors()["second_turn.in.modality_flag"][0]
    first_frame = int((flags == AUDIO_OUT).nonzero()[0])
    num_heard = int((flags[:first_frame] == AUDIO_IN).sum())
    tokens = tensors()["second_turn.in.text"][0, first_frame - num_heard - 6 :][:9].tolist()
    conversation.append_tokens(tokens[:6])
    conversation.append_frames(codes[:, :12])
    conversation.append_tokens(tokens[6:])
    conversation.append_frames(codes[:, 12:])
    conversation.end_turn()


def close(ours: Tensor, golden: Tensor, *, atol: float) -> None:
    torch.testing.assert_close(ours.detach(), golden, atol=atol, rtol=0)


@pytest.mark.parametrize("wave", WAVES)
def test_mel_features_match(wave: str) -> None:
    features = model().log_mel(tensors()[f"wave.{wave}"].numpy())
    close(features, tensors()[f"mel.{wave}"], atol=1e-4)
    assert features.shape[1] == int(tensors()[f"mel_len.{wave}"]) + 1


@pytest.mark.parametrize("wave", WAVES)
def test_encoder_and_adapter_match(wave: str) -> None:
    network = model().network
    encoded = network.encode(tensors()[f"mel.{wave}"])
    close(encoded, tensors()[f"encoded.{wave}"], atol=1e-4)
    close(network.audio_adapter(encoded), tensors()[f"adapted.{wave}"], atol=1e-4)


@pytest.mark.parametrize("name", REPLIES)
def test_conversation_is_laid_out_as_published(name: str) -> None:
    conversation, golden = converse(name), tensors()
    assert conversation.flags == golden[f"{name}.in.modality_flag"][0].tolist()
    assert conversation.tokens == golden[f"{name}.in.text"][0].tolist()
    assert conversation.mel_lengths == golden[f"{name}.in.audio_in_lens"].tolist()
    frames = (
        torch.stack(conversation.frames, 1)
        if conversation.frames
        else torch.empty(8, 0, dtype=torch.long)
    )
    assert torch.equal(frames, golden[f"{name}.in.audio_out"])


@pytest.mark.parametrize("name", REPLIES)
def test_prefill_and_hidden_states_match(name: str) -> None:
    embeddings = converse(name).pending
    close(embeddings, tensors()[f"{name}.prefill"], atol=1e-4)
    with torch.inference_mode():
        hidden = forward(model().network.lfm, embeddings, BackboneCache(model().config.lfm))
    close(hidden, tensors()[f"{name}.hidden"], atol=2e-4)


@pytest.mark.parametrize("name", REPLIES)
def test_greedy_reply_matches(name: str) -> None:
    mode, max_steps = REPLIES[name]
    steps = list(converse(name).generate(mode, max_steps=max_steps))
    end = steps.pop()
    assert isinstance(end, EndOfTurn)
    modalities = [TEXT if isinstance(step, TextToken) else AUDIO_OUT for step in steps]
    tokens = [step.token for step in steps if isinstance(step, TextToken)]
    frames = [step.codes for step in steps if isinstance(step, AudioFrame)]
    if (
        end.reason == "end" and mode is Mode.SEQUENTIAL
    ):  # The published sequential decoder gives out the end itself.
        modalities, tokens = [*modalities, TEXT], [*tokens, TURN_END]
    assert modalities == tensors()[f"{name}.out.modality"].tolist()
    assert tokens == tensors()[f"{name}.out.text"].tolist()
    assert torch.equal(torch.tensor(frames).T, tensors()[f"{name}.out.audio"])


def test_depthformer_frames_match() -> None:
    generator = StepGenerator(0, torch.device("cpu"))
    with torch.inference_mode():
        frames = [
            model().network.draw_frame(
                hidden, temperature=None, top_k=None, generator=generator.at(0)
            )
            for hidden in tensors()["depth.hidden"]
        ]
    assert torch.equal(torch.stack(frames), tensors()["depth.frames"])


def test_training_losses_and_logits_match() -> None:
    golden, conversation = tensors(), converse("second_turn")
    flags = golden["second_turn.in.modality_flag"][0]
    supervised = golden["train.supervision"][0].clone()
    supervised[0] = False
    network = model().network
    hidden = forward(network.lfm, conversation.pending, BackboneCache(model().config.lfm))
    targets = Targets(
        text_positions=((flags == TEXT) & supervised).nonzero()[:, 0],
        text_tokens=golden["second_turn.in.text"][0, supervised[flags == TEXT]],
        frame_positions=((flags == AUDIO_OUT) & supervised).nonzero()[:, 0],
        frame_codes=golden["second_turn.in.audio_out"].T[supervised[flags == AUDIO_OUT]],
    )
    losses = teacher_forced_losses(network, hidden, targets)
    assert torch.equal(targets.text_tokens, golden["train.text_labels"])
    assert torch.equal(targets.frame_codes.flatten(), golden["train.audio_labels"])
    close(losses.text_logits, golden["train.text_logits"], atol=5e-4)
    close(
        losses.audio_logits.flatten(0, 1)[:, ::37], golden["train.audio_logits_sample"], atol=5e-4
    )
    close(torch.stack((losses.total, losses.audio, losses.text)), golden["train.loss"], atol=5e-4)


def test_detokenizer_matches() -> None:
    wave = Detokenizer.load(CHECKPOINT / "audio_detokenizer").decode(tensors()["detok.codes"])
    close(wave, tensors()["detok.wave"], atol=2e-5)


def test_mimi_codes_match_whole_and_streamed() -> None:
    mimi, golden = Mimi.load(CHECKPOINT), tensors()
    assert torch.equal(mimi.encode(golden["mimi.wave"]), golden["mimi.codes"])
    stream = mimi.encoder()
    streamed = [stream.push(frame) for frame in golden["mimi.wave"].split(mimi.frame_samples)]
    assert torch.equal(torch.stack(streamed, 1), golden["mimi.codes_streaming"])


def test_mimi_sound_matches_whole_and_streamed() -> None:
    mimi, golden = Mimi.load(CHECKPOINT), tensors()
    close(mimi.decode(golden["mimi.decode_codes"]), golden["mimi.decoded"], atol=2e-5)
    stream = mimi.decoder()
    streamed = np.concatenate(
        [stream.push(frame.tolist()) for frame in golden["mimi.decode_codes"].T]
    )
    close(torch.from_numpy(streamed), golden["mimi.decoded_streaming"], atol=2e-5)


def test_every_golden_tensor_has_a_test() -> None:
    groups = {name.split(".")[0] for name in tensors()}
    assert groups == {
        "wave",
        "mel",
        "mel_len",
        "encoded",
        "adapted",
        *REPLIES,
        "depth",
        "train",
        "detok",
        "mimi",
    }
