"""What stands around a row in a prompt: the tokens that the chat template writes, and no others."""

import pytest
from tokenizer_zoo import CHAT_TEMPLATES, STYLES
from tokenizers import AddedToken, normalizers, pre_tokenizers

from llmreg.prompts.chat import chat_frame, plain_frame

MESSAGES = ["size: 7, 12.5", "été 🏠", "12", "a\n\nb "]


def _whole(tokenizer, content):
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True,
        enable_thinking=False,
    )  # fmt: skip
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def _check(tokenizer):
    frame = chat_frame(tokenizer)
    for content in MESSAGES:
        text = content.strip() if frame.trims else content
        assert frame.tokens(tokenizer, text) == _whole(tokenizer, content)
    return frame


@pytest.mark.parametrize("style", STYLES)
def test_tokens_are_those_of_the_whole_text(style, tokenizer_zoo):
    tokenizer = tokenizer_zoo[style]
    tokenizer.chat_template = CHAT_TEMPLATES[style]
    frame = _check(tokenizer)
    assert frame.trims == (style in ("llama3", "llama2"))
    assert frame.tokens(tokenizer, "7").count(tokenizer.bos_token_id) <= 1


def _with_added(tokenizer, *texts, **kwargs):
    added = [AddedToken(text, special=True, normalized=False, **kwargs) for text in texts]
    tokenizer.add_tokens(added, special_tokens=True)
    return tokenizer


def test_tokenizers_that_mark_the_start_of_their_input_alone(tokenizer_zoo):
    tokenizer = _with_added(tokenizer_zoo["llama2"], "<|im_start|>", "<|im_end|>")
    core = tokenizer.backend_tokenizer
    core.normalizer = normalizers.Sequence([])
    core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.chat_template = CHAT_TEMPLATES["qwen"]
    assert _check(tokenizer).anchor  # by itself, the row would begin with a space


def test_special_tokens_that_swallow_the_line_break_after_them(tokenizer_zoo):
    names = "<|user|>", "<|end|>", "<|assistant|>"
    tokenizer = _with_added(tokenizer_zoo["llama2"], *names, rstrip=True)
    tokenizer.chat_template = (
        "{% for m in messages %}{{ '<|' + m['role'] + '|>\n' + m['content'] + '<|end|>\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
    )
    frame = _check(tokenizer)
    assert (frame.before, frame.after) == ("", "")


def test_a_template_that_writes_the_date_gives_one_prompt_on_all_days(tokenizer_zoo):
    tokenizer = tokenizer_zoo["qwen"]
    tokenizer.chat_template = "\n{{ strftime_now('%d %b %Y') }}: {{ messages[0]['content'] }}"
    assert chat_frame(tokenizer).before == "\n26 Jul 2024: "


@pytest.mark.parametrize(
    "template, said",
    [
        ("{{ raise_exception('no users') }}", "failed on a single message of the user: no users"),
        ("{% if", "failed on a single message"),
        ("{{ messages[0]['content'] | upper }}", "0 times as it is"),
        ("{{ messages[0]['content'] | tojson }}", "0 times as it is"),
        ("{{ messages[0]['content'] }}{{ messages[0]['content'] }}", "2 times as it is"),
        ("{{ messages[0]['content'][0]['text'] }}", "chat template of"),
        ({"tools": "{{ messages[0]['content'] }}"}, "failed on a single message"),
    ],
)
def test_templates_that_rows_cannot_be_put_in_name_the_way_out(template, said, tokenizer_zoo):
    tokenizer = tokenizer_zoo["qwen"]
    tokenizer.chat_template = template
    with pytest.raises(ValueError, match=r"Set PretrainedModel\(chat_template=False\)") as error:
        chat_frame(tokenizer)
    assert said in str(error.value)


@pytest.mark.parametrize("style", STYLES)
def test_a_plain_prompt_begins_as_the_tokenizer_begins(style, tokenizer_zoo):
    tokenizer = tokenizer_zoo[style]
    frame = plain_frame(tokenizer)
    for content in MESSAGES:
        assert frame.tokens(tokenizer, content) == tokenizer(content)["input_ids"]
