"""Four small tokenizers, one for each way in which language models write digits.

They are put together as the originals are (normaliser, splitting, byte fallback, special tokens,
chat template) and trained on a few sentences.
"""

import copy
import string
from collections.abc import Mapping

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

STYLES = ("qwen", "llama3", "gpt2", "llama2")

SENTENCES = [
    "size: 12.5, city: Graz. price:",
    "The red old house has been sold for 1250 euro, the new one for 980.",
    "name: buick skylark 320, horsepower: 165, origin: usa. mpg:",
    "system user assistant. You are a helpful assistant.",
    *(
        f"in {year} there were {year % 97} houses at {year * 7 % 1000}"
        for year in range(1950, 2030)
    ),
]

# As in the originals, which refuse or merge a system message in ways of their own.
CHATML = (
    "{%- if messages[0]['role'] != 'system' %}"
    "{{- '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{%- endif %}"
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}"
    "{{- '<think>\n\n</think>\n\n' }}{%- endif %}{%- endif %}"
)
LLAMA3_CHAT = (
    "{{- bos_token }}{%- for message in messages %}"
    "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}"
    "{{- message['content'] | trim }}{{- '<|eot_id|>' }}{%- endfor %}"
    "{%- if add_generation_prompt %}"
    "{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif %}"
)
LLAMA2_CHAT = (
    "{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + message['content'].strip() + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'] + ' ' + eos_token }}"
    "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}"
    "{% endif %}{% endfor %}"
)
# GPT-2 has none of its own; this one is for tests that want one in every style.
PLAIN_CHAT = (
    "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + eos_token }}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}"
)
CHAT_TEMPLATES = {
    "qwen": CHATML, "llama3": LLAMA3_CHAT, "gpt2": PLAIN_CHAT, "llama2": LLAMA2_CHAT,
}  # fmt: skip


class TokenizerZoo(Mapping):
    """Style to tokenizer; a fresh copy at each look-up, so that tests may change what they get."""

    def __init__(self):
        build = {"qwen": _qwen, "llama3": _llama3, "gpt2": _gpt2, "llama2": _llama2}
        self._tokenizers = {style: build[style]() for style in STYLES}

    def __getitem__(self, style):
        return copy.deepcopy(self._tokenizers[style])

    def __iter__(self):
        return iter(self._tokenizers)

    def __len__(self):
        return len(self._tokenizers)


def _qwen():
    """Single digits, byte-level BPE, no BOS."""
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    core = _byte_level(r"\p{N}", special, vocab_size=420)
    core.normalizer = normalizers.NFC()
    # In the vocabulary and found in text, though not "special": as Qwen3 has them.
    core.add_tokens([AddedToken(t, normalized=False) for t in ("<think>", "</think>")])
    return _fast(core, CHATML, eos_token="<|im_end|>", pad_token="<|endoftext|>")


def _llama3():
    """Digits in threes, byte-level BPE, BOS added."""
    special = ["<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>",
               "<|finetune_right_pad_id|>"]  # fmt: skip
    core = _byte_level(r"\p{N}{1,3}", special, vocab_size=600)
    core.post_processor = processors.Sequence(
        [processors.ByteLevel(trim_offsets=False), _adds("<|begin_of_text|>", core)]
    )
    return _fast(
        core, LLAMA3_CHAT, bos_token="<|begin_of_text|>", eos_token="<|eot_id|>",
        pad_token="<|finetune_right_pad_id|>",
    )  # fmt: skip


def _gpt2():
    """Any run of digits may have merged, with its space; one special token for everything."""
    end = "<|endoftext|>"
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.post_processor = processors.ByteLevel(trim_offsets=False)
    core.train_from_iterator(SENTENCES, _trainer(500, [end]))
    return _fast(core, None, bos_token=end, eos_token=end, unk_token=end)


def _llama2():
    """Spaces as "▁", one of them put in front; single digits, bytes as a last resort, BOS added."""
    core = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    # Only while training: sentencepiece learns within words and splits digits.
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Digits(individual_digits=True)]
    )
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    special = ["<unk>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=480, special_tokens=special + bytes_, show_progress=False,
        initial_alphabet=list(string.printable[:94]),
    )  # fmt: skip
    core.train_from_iterator(SENTENCES, trainer)
    core = _without_added_bytes(core, special)
    core.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    core.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
         decoders.Strip(" ", 1, 0)]
    )  # fmt: skip
    core.post_processor = _adds("<s>", core)
    return _fast(core, LLAMA2_CHAT, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def _without_added_bytes(core, special):
    """The trained vocabulary and merges, with the byte pieces as ordinary tokens."""
    import json

    trained = json.loads(core.to_str())["model"]
    merges = [tuple(merge) for merge in trained["merges"]]
    model = models.BPE(
        trained["vocab"], merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True
    )
    core = Tokenizer(model)
    core.add_special_tokens([AddedToken(token, normalized=False) for token in special])
    return core


def _byte_level(digits, special, vocab_size):
    """The splitting that Llama 3 and Qwen share, but for how many digits stay together."""
    pattern = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|" + digits +
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )  # fmt: skip
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    core.train_from_iterator(SENTENCES, _trainer(vocab_size, special))
    return core


def _trainer(vocab_size, special):
    return trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=special, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip


def _adds(bos, core):
    return processors.TemplateProcessing(
        single=f"{bos} $A", special_tokens=[(bos, core.token_to_id(bos))]
    )


def _fast(core, chat_template, **special):
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, clean_up_tokenization_spaces=False, **special
    )
    tokenizer.chat_template = chat_template
    return tokenizer
