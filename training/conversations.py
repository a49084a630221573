"""Endless training conversations: transcription, speech, and questions with answers, all from a seed."""

import random
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from models.lfm2_audio.network import Network
from models.lfm2_audio.tokenizer import TextTokenizer
from models.mel import LogMel
from training.codes import SpokenCodes
from training.espeak import Espeak
from training.network import word_rows
from training.sequences import Batch, Example, Writer, collate
from training.sound import augment, negative_sound, reply_sound_16k, sentences_sound
from training.voices import REPLY_SPEAKERS, REPLY_VOICE, TRAINING_SPEAKERS
from training.world import NOT_UNDERSTOOD, Exchange, World, is_held_out

ASR_PROMPT = "Perform ASR."
CHAT_PROMPT = "Respond with interleaved text and audio."
TTS_PROMPTS = {
    "us_male": "Perform TTS. Use the US male voice.",
    "uk_female": "Perform TTS. Use the UK female voice.",
}

# How the examples are shared out; the rest are spoken conversations.
ASR_PART, TTS_PART, TYPED_PART, NEGATIVE_PART = 0.12, 0.33, 0.03, 0.05
NUM_TURNS = (1, 1, 2, 2, 2, 3)
BLANK = 0

# Sentences to embeddings of somebody saying them, (n, hidden); none: of something else than speech to understand.
Hear = Callable[[Sequence[str], random.Random], Tensor]


class ImaginedHearing:
    """Makes up what a trained encoder would give: a word's embedding here and there, the blank's in between.

    Lets the backbone learn before the encoder has.
    """

    def __init__(self, embeddings: Tensor, rows: dict[str, int]) -> None:
        self._blank = embeddings[BLANK]
        self._words = {word: embeddings[row] for word, row in rows.items()}
        self._noise = 0.35 * float(embeddings.std())

    def __call__(self, texts: Sequence[str], rng: random.Random) -> Tensor:
        """Return embeddings of `texts` at some pace; of silence where there are none."""
        pace = rng.uniform(0.75, 1.35)
        frames = [self._blank] * rng.randint(1, 6)
        for word in " ".join(texts).split():
            length = max(1, round(pace * (1.2 + 0.5 * len(word) + rng.uniform(-1, 1))))
            spoken = [self._blank] * length
            at = rng.randrange(length)
            spoken[at] = self._words[word]
            if rng.random() < 0.35 and at + 1 < length:
                spoken[at + 1] = self._words[word]
            elif rng.random() < 0.3 and at + 1 < length:
                share = rng.random()
                spoken[at + 1] = share * self._words[word] + (1 - share) * self._blank
            frames += spoken
        frames += [self._blank] * rng.randint(1, 7)
        heard = torch.stack(frames)
        generator = torch.Generator().manual_seed(rng.getrandbits(48))
        gain = torch.empty(len(heard), 1).uniform_(0.7, 1.3, generator=generator)
        return gain * heard + self._noise * torch.randn(heard.shape, generator=generator)


class TrainedHearing:
    """Speaks with espeak and listens with the encoder."""

    def __init__(self, network: Network, espeak: Espeak) -> None:
        self._network, self._espeak = network, espeak
        self._log_mel = LogMel(network.config.preprocessor, torch.device("cpu"))

    def __call__(self, texts: Sequence[str], rng: random.Random) -> Tensor:
        """Return embeddings of somebody saying `texts`; of noise, tones or another language where there are none."""
        if not texts:
            sound = negative_sound(self._espeak, rng)
        elif rng.random() < 0.1:
            voice = rng.choice(list(REPLY_SPEAKERS))
            sound = reply_sound_16k(self._espeak, " ".join(texts), voice)
        else:
            sound = sentences_sound(self._espeak, texts, rng.choice(TRAINING_SPEAKERS), rng)
        samples = torch.from_numpy(augment(sound, rng))
        with torch.no_grad():
            return self._network.audio_adapter(self._network.encode(self._log_mel(samples)))


class Conversations(IterableDataset[Batch]):
    """Endless batches of examples of about equal length."""

    POOL = 8  # Batches drawn at once and sorted by length.

    def __init__(
        self,
        world: World,
        tokenizer: TextTokenizer,
        codes: SpokenCodes,
        network: Network,
        *,
        imagined: bool,
        batch_size: int,
        seed: int,
    ) -> None:
        self._world, self._codes, self._network = world, codes, network
        self._writer = Writer(tokenizer)
        self._rows = word_rows(world.words, tokenizer)
        self._imagined = imagined
        self._batch_size, self._seed = batch_size, seed
        # What was spoken of a larger world may have words that this one lacks.
        self._spoken = sorted(
            (text, voice)
            for text, voice in codes
            if not is_held_out(text) and self._rows.keys() >= set(text.split())
        )

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        rng = random.Random(f"{self._seed}/{worker.id if worker else 0}")
        network = self._network
        hear: Hear = (
            ImaginedHearing(network.lfm.embed_tokens.weight.detach().cpu(), self._rows)
            if self._imagined
            else TrainedHearing(network, Espeak())
        )
        older: list[Example] = []
        while True:
            # Every example is given out twice, once beside those before it and once beside those after: making it costs
            # as much as learning from it.
            num_new = self.POOL * self._batch_size - len(older)
            newer = [self._draw(hear, rng) for _ in range(num_new)]
            pool = sorted([*older, *newer], key=len)
            older = rng.sample(newer, min(len(newer), len(pool) // 2))
            batches = [
                pool[start : start + self._batch_size]
                for start in range(0, len(pool), self._batch_size)
            ]
            rng.shuffle(batches)
            for batch in batches:
                yield collate(batch, network.config.lfm.hidden_size)

    def _draw(self, hear: Hear, rng: random.Random) -> Example:
        kind = rng.random()
        if kind < TTS_PART:
            text, voice = rng.choice(self._spoken)
            return self.speech(text, voice)
        kind -= TTS_PART
        if kind < ASR_PART:
            texts = self._draw_sentences(rng)
            return self.transcription(" ".join(texts), hear(texts, rng))
        kind -= ASR_PART
        if kind < NEGATIVE_PART:
            return self.conversation([("", NOT_UNDERSTOOD)], lambda _: hear((), rng))
        kind -= NEGATIVE_PART
        dialogue = self._draw_dialogue(rng)
        turns = [(exchange.question, exchange.answer) for exchange in dialogue]
        if kind < TYPED_PART:
            return self.conversation(turns, lambda text: text)
        return self.conversation(turns, lambda text: hear((text,), rng))

    def _draw_sentences(self, rng: random.Random) -> list[str]:
        """Return what is to be written down: mostly one sentence, now and then two, or nothing to understand."""
        if rng.random() < 0.05:
            return []
        exchanges = [self._world.draw(rng) for _ in range(1 + (rng.random() < 0.15))]
        return [one.question if rng.random() < 0.75 else one.answer for one in exchanges]

    def _draw_dialogue(self, rng: random.Random) -> list[Exchange]:
        """Return a dialogue whose answers have all been spoken."""
        while True:
            dialogue = self._world.draw_dialogue(rng, rng.choice(NUM_TURNS))
            if all((exchange.answer, REPLY_VOICE) in self._codes for exchange in dialogue):
                return dialogue

    def speech(self, text: str, voice: str) -> Example:
        """Return an example of reading aloud."""
        example = self._writer.begin(TTS_PROMPTS[voice])
        self._writer.add_user(example, text)
        self._writer.add_speech(example, self._codes[text, voice])
        return example

    def transcription(self, text: str, heard: Tensor) -> Example:
        """Return an example of writing down."""
        example = self._writer.begin(ASR_PROMPT)
        self._writer.add_user(example, heard)
        self._writer.add_transcript(example, text)
        return example

    def conversation(
        self, turns: Sequence[tuple[str, str]], say: Callable[[str], str | Tensor]
    ) -> Example:
        """Return an example of questions, said as `say` has it, and spoken answers."""
        example = self._writer.begin(CHAT_PROMPT)
        for index, (question, answer) in enumerate(turns):
            self._writer.add_user(example, say(question))
            self._writer.add_reply(
                example,
                answer,
                self._codes[answer, REPLY_VOICE],
                closed=index + 1 < len(turns),
            )
        return example
