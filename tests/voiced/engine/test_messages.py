"""What may travel between daemon and engine, and what is refused."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiced.engine import messages as m
from voiced.engine.framing import Unframer, frame
from voiced.errors import ProtocolError

SAMPLES = np.linspace(-1, 1, 400, dtype=np.float32)
PCM = m.pack_samples(SAMPLES)
STEPS: tuple[m.Step, ...] = (7, (1, 2, 3, 4, 5, 6, 7, 2048), 130)

TO_ENGINE: list[m.ToEngine] = [
    m.Open(
        1,
        "Be brief.",
        5,
        m.SamplingOptions(audio_top_k=4),
        10.0,
        (m.PastTurn(1, "hi", PCM, STEPS),),
    ),
    m.Prepare(1, 2, "text"),
    m.Prepare(1, 2, pcm=PCM),
    m.Discard(1, 2),
    m.Cut(1, 2, 1920),
    m.Transcribe(1, 2, PCM, True),
    m.Taken(1, 8),
    m.Close(1),
    m.Ping(3),
]
FROM_ENGINE: list[m.FromEngine] = [
    m.Ready(name="voiced-mini", load_s=1.5, voices=("us_male",), longest_piece_s=6.0),
    m.Unfit("no such model"),
    m.Alive(3, 1, 2.5),
    m.Pong(3),
    m.Opened(session=1, num_turns=2),
    m.Text(session=1, turn=2, text="Grüße", steps=STEPS),
    m.Sound(session=1, turn=2, pcm=PCM),
    m.Ended(session=1, turn=2, how="end", timings=m.Timings(received_s=1.0, first_frame_s=2.0)),
    m.Discarded(session=1, turn=2, num_steps=3),
    m.WasCut(session=1, turn=2, heard="one", kept="one two"),
    m.Transcript(session=1, turn=2, text="hello", is_final=True),
    m.Trimmed(session=1, num_turns=3),
    m.Failed(session=1, turn=2, request="prepare", code="bad_request", message="too short"),
    m.Closed(1),
]


@pytest.mark.parametrize("message", TO_ENGINE, ids=lambda message: type(message).__name__)
def test_each_message_to_the_engine_arrives_as_it_was_sent(message: m.ToEngine) -> None:
    assert m.decode_to_engine(m.encode(message)) == message


@pytest.mark.parametrize("message", FROM_ENGINE, ids=lambda message: type(message).__name__)
def test_each_message_of_the_engine_arrives_as_it_was_sent(message: m.FromEngine) -> None:
    assert m.decode_from_engine(m.encode(message)) == message


def test_sound_arrives_bit_for_bit() -> None:
    assert np.array_equal(m.unpack_samples(PCM), SAMPLES)
    assert np.array_equal(m.Sound(session=1, turn=1, pcm=PCM).samples, SAMPLES)


@pytest.mark.parametrize(
    "message",
    [
        m.Open(0),
        m.Open(1, "x" * (m.MOST_TEXT_CHARS + 1)),
        m.Open(1, max_reply_s=0.0),
        m.Open(1, max_reply_s=601.0),
        m.Open(1, max_reply_s=float("nan")),
        m.Open(1, seed=-1),
        m.Open(1, sampling=m.SamplingOptions(audio_temperature=-1.0)),
        m.Open(1, sampling=m.SamplingOptions(text_top_k=0)),
        m.Open(1, history=(m.PastTurn(1),) * (m.MOST_PAST_TURNS + 1)),
        m.Open(1, history=(m.PastTurn(1, steps=(-5,)),)),
        m.Open(1, history=(m.PastTurn(1, steps=((),)),)),
        m.Prepare(1, -1, "text"),
        m.Prepare(1, 1, pcm=bytes(m.MOST_SAMPLES_BYTES + 4)),
        m.Prepare("1", 1, "x"),  # type: ignore[arg-type]
        m.Cut(1, 1, -1),
        m.Cut(1, 1, 2**60),
    ],
    ids=range(16),
)
def test_what_is_out_of_range_is_refused(message: m.ToEngine) -> None:
    with pytest.raises(ProtocolError, match="cannot be read"):
        m.decode_to_engine(m.encode(message))


@pytest.mark.parametrize("fields", [b"", b"\xa4text\xa1a\xa3pcm\xc4\x01a"])
def test_a_question_is_either_text_or_sound(fields: bytes) -> None:
    size = 3 + (2 if fields else 0)
    payload = bytes([0x80 + size]) + b"\xa2is\xa7prepare\xa7session\x01\xa4turn\x01" + fields
    with pytest.raises(ProtocolError, match="either text or pcm"):
        m.decode_to_engine(payload)


@pytest.mark.parametrize(
    "payload", [b"", b"\x00", b"\xc1", b"\x81", b"\x91" * 100_000, b"\xdf\xff\xff\xff\xff"]
)
def test_garbage_is_refused(payload: bytes) -> None:
    for decode in (m.decode_to_engine, m.decode_from_engine):
        with pytest.raises(ProtocolError):
            decode(payload)


def test_a_message_of_the_other_direction_or_with_another_field_is_refused() -> None:
    with pytest.raises(ProtocolError):
        m.decode_from_engine(m.encode(m.Ping()))
    with pytest.raises(ProtocolError, match="unknown field"):
        m.decode_to_engine(b"\x82\xa2is\xa4ping\xa3new\x01")


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(TO_ENGINE), st.integers(0, 10_000), st.integers(0, 255))
def test_a_changed_byte_is_a_message_or_a_protocol_error(
    message: m.ToEngine, place: int, value: int
) -> None:
    payload = bytearray(m.encode(message))
    payload[place % len(payload)] = value
    try:
        m.decode_to_engine(bytes(payload))
    except ProtocolError:
        return


@pytest.mark.parametrize(
    "pcm", [b"123", np.array([np.nan], "<f4").tobytes(), np.array([0, np.inf], "<f4").tobytes()]
)
def test_sound_that_is_none_is_refused(pcm: bytes) -> None:
    with pytest.raises(ProtocolError):
        m.unpack_samples(pcm)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=50), max_size=8), st.integers(1, 40))
def test_a_stream_cut_anywhere_gives_the_same_payloads(payloads: list[bytes], size: int) -> None:
    stream = b"".join(frame(payload, 50) for payload in payloads)
    unframer = Unframer(50)
    found = [
        payload
        for start in range(0, len(stream), size)
        for payload in unframer.push(stream[start : start + size])
    ]
    assert found == payloads
    assert unframer.num_held == 0


def test_a_length_over_the_limit_is_refused_before_its_payload_has_come() -> None:
    unframer = Unframer(1000)
    with pytest.raises(ProtocolError, match="message of 1001 bytes: expected 1 to 1000"):
        unframer.push((1001).to_bytes(4, "big"))
    with pytest.raises(ProtocolError, match="message of 0 bytes"):
        Unframer(1000).push(bytes(4))
    with pytest.raises(ProtocolError, match="message of 5 bytes"):
        frame(b"12345", 4)


def test_the_daemons_side_imports_no_torch() -> None:
    code = (
        "import sys, voiced.engine.client, voiced.engine.process; sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_half_a_message_at_the_end_of_a_stream_shows() -> None:
    unframer = Unframer(1000)
    assert unframer.push(frame(b"payload", 1000)[:-1]) == []
    assert unframer.num_held > 0
