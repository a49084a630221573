"""The LFM2 detokenizer: streaming against whole, and what it refuses."""

import numpy as np
import pytest
import torch

from models.detokenizer import FRAME_SAMPLES, Detokenizer
from models.errors import NonFiniteError, RangeError
from tests.models.golden import CHECKPOINT


@pytest.fixture(scope="module")
def detokenizer() -> Detokenizer:
    return Detokenizer.load(CHECKPOINT / "audio_detokenizer")


def random_codes(num_frames: int, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 2048, (8, num_frames), generator=generator)


# 60 frames are 360 positions: twelve times the attention's window of 30.
@pytest.mark.parametrize("num_frames", [1, 2, 5, 60])
def test_streaming_equals_the_whole_utterance(detokenizer: Detokenizer, num_frames: int) -> None:
    codes = random_codes(num_frames)
    stream = detokenizer.decoder()
    streamed = [stream.push(frame.tolist()) for frame in codes.T] + [stream.flush()]
    whole = detokenizer.decode(codes).numpy()
    np.testing.assert_allclose(np.concatenate(streamed), whole, atol=1e-5, rtol=0)
    assert len(whole) == num_frames * FRAME_SAMPLES


def test_each_frame_gives_its_sound_at_once(detokenizer: Detokenizer) -> None:
    stream = detokenizer.decoder()
    lengths = [len(stream.push(frame.tolist())) for frame in random_codes(4).T]
    assert lengths == [1440, 1920, 1920, 1920]
    assert len(stream.flush()) == 480


def test_after_flush_or_reset_nothing_of_the_last_utterance_is_left(
    detokenizer: Detokenizer,
) -> None:
    stream, codes = detokenizer.decoder(), random_codes(3)
    first = np.concatenate([*(stream.push(frame.tolist()) for frame in codes.T), stream.flush()])
    stream.push(random_codes(1, seed=2)[:, 0].tolist())
    stream.reset()
    again = np.concatenate([*(stream.push(frame.tolist()) for frame in codes.T), stream.flush()])
    np.testing.assert_array_equal(first, again)


def test_flush_without_a_frame_gives_nothing(detokenizer: Detokenizer) -> None:
    assert len(detokenizer.decoder().flush()) == 0


def test_two_streams_of_one_detokenizer_do_not_mix(detokenizer: Detokenizer) -> None:
    one, two, codes = detokenizer.decoder(), detokenizer.decoder(), random_codes(4)
    mixed = []
    for frame in codes.T:
        mixed.append(one.push(frame.tolist()))
        two.push(frame.flip(0).tolist())
    np.testing.assert_allclose(
        np.concatenate(mixed),
        detokenizer.decode(codes).numpy()[: 4 * 1920 - 480],
        atol=1e-5,
        rtol=0,
    )


@pytest.mark.parametrize("codes", [[0] * 7, [0] * 7 + [2048], [-1] + [0] * 7, []])
def test_codes_out_of_range_are_refused_and_leave_the_stream_as_it_was(
    detokenizer: Detokenizer, codes: list[int]
) -> None:
    stream, good = detokenizer.decoder(), random_codes(2)
    first = stream.push(good[:, 0].tolist())
    with pytest.raises(RangeError, match="expected 8 codes of 0 to 2047"):
        stream.push(codes)
    rest = [stream.push(good[:, 1].tolist()), stream.flush()]
    whole = detokenizer.decode(good).numpy()
    np.testing.assert_allclose(np.concatenate([first, *rest]), whole, atol=1e-5, rtol=0)


def test_an_interrupted_frame_leaves_no_trace(
    detokenizer: Detokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = random_codes(12)
    stream, streamed = detokenizer.decoder(), []
    last = detokenizer.network.lfm.layers[-1]

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for frame in codes.T:
        with monkeypatch.context() as patch:
            patch.setattr(last, "forward", interrupt)
            with pytest.raises(KeyboardInterrupt):
                stream.push(frame.tolist())
        streamed.append(stream.push(frame.tolist()))
    whole = detokenizer.decode(codes).numpy()
    np.testing.assert_allclose(
        np.concatenate([*streamed, stream.flush()]), whole, atol=1e-5, rtol=0
    )


def test_sound_that_is_not_finite_is_an_error() -> None:
    detokenizer = Detokenizer.load(CHECKPOINT / "audio_detokenizer")
    detokenizer.network.lin.bias.data.fill_(100.0)
    with pytest.raises(NonFiniteError, match="sound of the detokenizer"):
        detokenizer.decoder().push([0] * 8)


@pytest.mark.parametrize("shape", [(7, 3), (8, 0), (8,)])
def test_codes_of_another_shape_are_refused(
    detokenizer: Detokenizer, shape: tuple[int, ...]
) -> None:
    with pytest.raises(RangeError, match="expected \\(8, frames\\)"):
        detokenizer.decode(torch.zeros(shape, dtype=torch.long))
