"""Where to compute, in which number formats, in how little memory: a parameter of parameters."""

from numbers import Integral

from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, StrOptions

from llmreg.integrations.documentation import DocumentedMixin

__all__ = ["Device", "as_device"]


class Device(DocumentedMixin, BaseEstimator):
    """Where and how passes are computed.

    ``LLMRegressor(device="cuda")`` means ``device=Device("cuda")``. A grid search reaches in as
    ``device__dtype``.

    Parameters
    ----------
    name : str, default="auto"
        torch's name of the device. "auto": "cuda" if there is one, else "mps", else "cpu".
    dtype : {"auto", "float32", "float64", "bfloat16"}, default="auto"
        Of the weights; adapters keep at least float32. "auto": bfloat16 for pretrained models on a
        GPU that has it (where all weights train: float32 with bfloat16 arithmetic), else float32;
        fresh weights predict in float64, so that predictions do not depend on how rows are
        batched.
    micro_batch_size : int or "auto", default="auto"
        Most rows that are computed at once in training; the step is the same. "auto": all rows of
        a step, and half as many whenever the device runs out of memory; 16 where a CPU trains the
        first stage of fresh weights on texts, which is faster. An int where memory errors can't be
        caught, as on the CPU.
    gradient_checkpointing : bool, default=False
        Compute activations twice instead of keeping them: much less memory, about a third slower.
    torch_compile : bool, default=False
        Compile the model for training. Pays off for long fits only; see docs/speed.md.

    Examples
    --------
    >>> from llmreg import Device, LLMRegressor
    >>> model = LLMRegressor(device=Device("cpu", dtype="float64"))
    >>> LLMRegressor().set_params(device__gradient_checkpointing=True).device
    Device(gradient_checkpointing=True)
    """

    _parameter_constraints: dict = {
        "name": [str],
        "dtype": [StrOptions({"auto", "float32", "float64", "bfloat16"})],
        "micro_batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "gradient_checkpointing": ["boolean"],
        "torch_compile": ["boolean"],
    }

    def __init__(
        self,
        name: str = "auto",
        *,
        dtype: str = "auto",
        micro_batch_size: int | str = "auto",
        gradient_checkpointing: bool = False,
        torch_compile: bool = False,
    ):
        self.name = name
        self.dtype = dtype
        self.micro_batch_size = micro_batch_size
        self.gradient_checkpointing = gradient_checkpointing
        self.torch_compile = torch_compile


def as_device(device):
    """The :class:`Device` that the parameter ``device`` means."""
    return device if isinstance(device, Device) else Device(device)
