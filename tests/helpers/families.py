"""Every family of language models: its configuration class and the sizes of a tiny one."""

VOCABULARY = 60
WINDOW = 8
# Weights this large make every logit depend visibly on every token before it.
STANDARD = dict(
    hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, head_dim=8, initializer_range=0.3,
)  # fmt: skip
STATES = dict(hidden_size=32, state_size=4, num_hidden_layers=2, initializer_range=0.3)
# Each family's configuration class and sizes; sliding windows are shorter than the tests' prompts.
FAMILIES = {
    "llama": ("LlamaConfig", STANDARD),
    "qwen2": ("Qwen2Config", STANDARD),
    "qwen2 window": (
        "Qwen2Config",
        STANDARD | dict(use_sliding_window=True, sliding_window=WINDOW, max_window_layers=1),
    ),
    "qwen3": ("Qwen3Config", STANDARD),
    "gemma": ("GemmaConfig", STANDARD),
    "gemma2": ("Gemma2Config", STANDARD | dict(sliding_window=WINDOW, query_pre_attn_scalar=8)),
    "gemma3": (
        "Gemma3TextConfig",
        STANDARD
        | dict(
            sliding_window=WINDOW, query_pre_attn_scalar=8,
            layer_types=["sliding_attention", "full_attention"],
        ),
    ),
    "mistral": ("MistralConfig", STANDARD | dict(sliding_window=WINDOW)),
    "phi3": ("Phi3Config", STANDARD | dict(sliding_window=WINDOW)),
    "gpt2": ("GPT2Config", dict(
        n_embd=32, n_layer=2, n_head=4, n_positions=64, initializer_range=0.3
    )),
    "gpt_neox": ("GPTNeoXConfig", STANDARD),
    "opt": ("OPTConfig", dict(
        hidden_size=32, word_embed_proj_dim=32, ffn_dim=48, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=64, init_std=0.3,
    )),
    "mamba": ("MambaConfig", STATES),
    "mamba2": ("Mamba2Config", STATES | dict(num_heads=8, head_dim=8, n_groups=1, chunk_size=4)),
    "falcon_mamba": ("FalconMambaConfig", STATES),
}  # fmt: skip


def family_config(family):
    import transformers

    kind, sizes = FAMILIES[family]
    return getattr(transformers, kind)(
        vocab_size=VOCABULARY, bos_token_id=0, eos_token_id=0, pad_token_id=0, **sizes
    )


TRANSFORMERS = [
    "llama", "qwen2", "qwen2 window", "qwen3", "gemma", "gemma2", "gemma3", "mistral", "phi3",
    "gpt2", "gpt_neox", "opt",
]  # fmt: skip
STATE_SPACES = ["mamba", "mamba2", "falcon_mamba"]
WINDOWED = ["qwen2 window", "gemma2", "gemma3", "mistral", "phi3"]
