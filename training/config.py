"""The sizes of voiced-mini: the content of its `config.json` and of its detokenizer's, and what is particular about it."""

from typing import Any

CODEBOOK_SIZE = 256
LIVE_CODEBOOKS = 2  # The others hold code 0, with rows of zeros. A third would follow espeak-ng's phase, which is chance.
HIDDEN = 256
LAYERS = ("conv", "conv", "full_attention", "conv", "full_attention", "conv", "full_attention")

DETOKENIZER_CONFIG: dict[str, Any] = {
    "model_type": "lfm2",
    "codebook_size": CODEBOOK_SIZE,
    "vocab_size": 64,  # The backbone is given embeddings only.
    "hidden_size": 160,
    "intermediate_size": 384,
    "block_auto_adjust_ff_dim": False,
    "num_hidden_layers": 5,
    "layer_types": ["conv", "conv", "sliding_attention", "conv", "sliding_attention"],
    "sliding_window": 30,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "conv_L_cache": 3,
    "conv_bias": False,
    "norm_eps": 1e-05,
    "max_position_embeddings": 128000,
    "rope_theta": 10000.0,
    "output_size": 1282,
}

# The content of `demonstration.json`; the words of the prompts come to it with the world's.
DEMONSTRATION: dict[str, Any] = {
    "name": "voiced-mini",
    "voices": ["us_male", "uk_female"],
    "closed_vocabulary": True,
    "reply": {"temperature": 0, "top_k": 1},
    "speech": {"temperature": 0, "top_k": 1},
    "max_piece_chars": 60,
    "min_piece_chars": 1,
    "longest_piece_s": 6.0,  # What it is trained to hear lasts 1 to 6 s.
    # It is trained on one to three exchanges of about 60 positions. With 384 it answered 88 % rightly over talks of 20
    # minutes; with 512 it was 65 % in the last two minutes of 8, and without a limit 22 % from 2,000 positions on.
    "talk_positions": 400,
}


def model_config(vocab_size: int) -> dict[str, Any]:
    """Return the content of `config.json` for a vocabulary of so many rows."""
    return {
        "architectures": ["Lfm2AudioForConditionalGeneration"],
        "codebooks": 8,
        "codebook_size": CODEBOOK_SIZE,
        "live_codebooks": LIVE_CODEBOOKS,
        "tie_audio_embeddings": False,
        "semantic_codebook_factor": 4,
        "codebook_weight": "log",
        "text_loss_multiplier": 4.0,
        "interleaved_n_text": 6,
        "interleaved_n_audio": 12,
        "preprocessor": {
            "sample_rate": 16000,
            "normalize": "per_feature",
            "window_size": 0.025,
            "window_stride": 0.01,
            "window": "hann",
            "features": 128,
            "n_fft": 512,
            "log": True,
        },
        "encoder": {
            "feat_in": 128,
            "n_layers": 5,
            "d_model": 144,
            "subsampling": "dw_striding",
            "subsampling_factor": 8,
            "subsampling_conv_channels": 32,
            "ff_expansion_factor": 4,
            "self_attention_model": "rel_pos",
            "n_heads": 4,
            "conv_kernel_size": 9,
        },
        "lfm": {
            "model_type": "lfm2",
            "vocab_size": vocab_size,
            "hidden_size": HIDDEN,
            "intermediate_size": 512,
            "block_auto_adjust_ff_dim": False,
            "num_hidden_layers": len(LAYERS),
            "layer_types": list(LAYERS),
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "conv_L_cache": 3,
            "conv_bias": False,
            "norm_eps": 1e-05,
            "max_position_embeddings": 4096,
            "rope_theta": 10000.0,
            "tie_word_embeddings": True,
        },
        "depthformer": {
            "layers": 3,
            "dim": 128,
            "tie": True,
            "num_heads": 4,
            "num_kv_heads": 2,
        },
    }
