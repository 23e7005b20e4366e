"""The text of a file, packed or not; what can't be read is told with its name and the remedy."""

import codecs
from contextlib import contextmanager

from pandas.io.common import get_handle

__all__ = ["naming", "read_text"]

# UTF-32 first: its mark begins as that of UTF-16.
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip


@contextmanager
def naming(path):
    """Errors of those who read the file, but no others, become a ValueError that names it."""
    try:
        yield
    except Exception as error:
        if isinstance(error, (ImportError, MemoryError)) or getattr(error, "errno", None):
            raise
        raise ValueError(
            f"{str(path)!r} is not what the end of its name says, or is damaged: {error}. Write it "
            "anew, or give it the end that fits."
        ) from error


def read_text(path):
    """Read a text, and how it was encoded.

    Parameters
    ----------
    path : str or os.PathLike

    Returns
    -------
    text : str
        Line ends are as in the file.
    encoding : str
        As Python calls it: "utf-8", or what a byte order mark in front says.

    Raises
    ------
    ValueError
        For other encodings, which can't be told from each other.
    """
    with naming(path), get_handle(path, "rb", compression="infer", is_text=False) as opened:
        data = opened.handle.read()
    encoding = next((name for mark, name in MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        found = f"byte 0x{data[error.start]:02x} can't be read as {encoding.removesuffix('-sig')}"
        raise _foreign(path, line, found) from error
    if "\0" in text:
        raise _foreign(path, text.count("\n", 0, text.index("\0")) + 1, "there is a zero byte")
    return text, encoding


def _foreign(path, line, found):
    return ValueError(
        f"{str(path)!r} is no text in UTF-8, or in UTF-16 with a byte order mark: in line {line} "
        f"{found}. Save it as UTF-8: in Excel as 'CSV UTF-8', or with a command such as "
        "'iconv -f CP1252 -t UTF-8 old.csv > new.csv'."
    )
