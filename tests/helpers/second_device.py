"""A second device on a machine that has none: it computes on the CPU, and will not mix with it.

A tensor that was left behind shows on a GPU only: here, too. Tensors of the device say that they
are on it, and keep their numbers in a tensor of the CPU; an operation on tensors of both devices
raises :class:`MixedDevices`, except where GPUs allow it. The device draws from a generator of its
own, as GPUs do.

To be used in a process of its own: torch can name such a device once, and never takes it back.
"""

import contextlib

import torch
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode

# One of the names that torch leaves to devices from elsewhere, as saved models may have them.
NAME = "npu"
# torch's way to write a device in Python, which is experimental: not all versions have it.
AVAILABLE = hasattr(backend_registration, "_setup_privateuseone_for_python_backend")

MOVES = {"aten::_to_copy", "aten::copy_", "aten::_foreach_copy_", "aten::_local_scalar_dense"}
FILLING = {"aten::fill_", "aten::index_fill_", "aten::index_fill"}
INDEXING = {"aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_"}


class MixedDevices(RuntimeError):
    """An operation got tensors of both devices."""


class SimTensor(torch.Tensor):
    """A tensor that says it is on the device; ``inner`` has its numbers."""

    @staticmethod
    def __new__(cls, inner):
        tensor = torch.Tensor._make_wrapper_subclass(
            cls, inner.size(), strides=inner.stride(), storage_offset=inner.storage_offset(),
            dtype=inner.dtype, device=torch.device(NAME, 0),
        )  # fmt: skip
        tensor.inner = inner
        return tensor

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _compute(func, args, kwargs or {})

    @property
    def data(self):
        return torch.Tensor.data.__get__(self)

    @data.setter
    def data(self, new):
        # torch changes what the tensor says of itself. Its numbers must change as well: members of
        # an ensemble take turns in one model in this way, and would all be the first one.
        torch.Tensor.data.__set__(self, new)
        self.inner = new.inner

    def data_ptr(self):
        return self.inner.data_ptr()

    def untyped_storage(self):
        return self.inner.untyped_storage()

    def tolist(self):
        return self.inner.tolist()

    def numpy(self, **kwargs):
        raise TypeError(f"can't convert {self.device} device type tensor to numpy: copy it first")

    def __repr__(self, **kwargs):
        return f"SimTensor({self.inner!r})"

    def __reduce_ex__(self, protocol):
        given = self.inner, self.dtype, str(self.device), self.requires_grad
        return torch._utils._rebuild_device_tensor_from_cpu_tensor, given


class _NewTensors(TorchDispatchMode):
    """Sees what has no tensor of the device among its arguments: what makes and moves them."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if _is_sim(kwargs.get("device")) or any(isinstance(t, SimTensor) for t in _tensors(args)):
            return _compute(func, args, kwargs)
        return func(*args, **kwargs)


def _tensors(values):
    """The tensors among arguments or results of an operation, which may be in lists."""
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _tensors(value)


def _change(kind, change, value):
    """An argument or result, or a list of them, with each tensor of a kind changed."""
    if isinstance(value, (list, tuple)):
        return type(value)(_change(kind, change, v) for v in value)
    return change(value) if isinstance(value, kind) else value


def _compute(func, args, kwargs):
    """An operation, on the CPU; what it returns says that it is where a GPU would have put it."""
    tensors = list(_tensors((args, *kwargs.values())))
    _check_same_device(func, tensors, kwargs)
    there = any(isinstance(t, SimTensor) for t in tensors)
    inner_args = _change(SimTensor, _inner, args)
    inner_kwargs = {k: _change(SimTensor, _inner, v) for k, v in kwargs.items()}
    if kwargs.get("device") is not None:
        there = _is_sim(kwargs["device"])
        inner_kwargs["device"] = "cpu"
    with _device.drawing(torch.Tag.nondeterministic_seeded in func.tags and there):
        found = func(*inner_args, **inner_kwargs)
    if func._schema.is_mutable:
        return _written(func._schema, args, kwargs)
    return _change(torch.Tensor, SimTensor, found) if there else found


def _is_sim(device):
    return device is not None and torch.device(device).type == NAME


def _inner(tensor):
    """A tensor's numbers, which must be what it says of itself."""
    said, true = ((t.shape, t.dtype, t.stride()) for t in (tensor, tensor.inner))
    assert said == true, f"the simulation is at fault: {said} is {true}"
    return tensor.inner


def _check_same_device(func, tensors, kwargs):
    """As on GPUs: one device, but that the CPU may give single numbers and indices."""
    there, name = [isinstance(t, SimTensor) for t in tensors], func._schema.name
    if kwargs.get("generator") is not None and (any(there) or _is_sim(kwargs.get("device"))):
        raise MixedDevices(f"{name}: a generator of the CPU cannot draw on {NAME}")
    if name in MOVES or all(there) or not any(there):
        return
    strict = tensors
    if name in INDEXING and there[0]:
        strict = tensors[-1:] if "put" in name else []  # the values
    elif torch.Tag.pointwise in func.tags or name in FILLING:
        strict = [t for t in tensors if t.dim()]
    if not all(isinstance(t, SimTensor) for t in strict):
        places = ", ".join(f"{tuple(t.shape)} on {t.device.type}" for t in tensors)
        raise MixedDevices(f"{name} got tensors of both devices: {places}")


def _written(schema, args, kwargs):
    """The arguments that an operation has written to, as it returns them."""
    given = dict(zip((a.name for a in schema.arguments), args, strict=False)) | kwargs
    written = [a.name for a in schema.arguments if a.alias_info and a.alias_info.is_write]
    found = tuple(given[name] for name in written[: len(schema.returns)])
    return (found or (None,))[0] if len(found) < 2 else found


class _Generator(torch.Generator):
    """A generator for either device."""

    def __new__(cls, device="cpu"):
        return super().__new__(cls, "cpu" if _is_sim(device) else device)


class _Device:
    """What ``torch.npu`` is, as ``torch.cuda`` is for GPUs."""

    generator = torch.default_generator

    @contextlib.contextmanager
    def drawing(self, draws):
        """Within this context, if it draws, the CPU's generator is where the device's was."""
        own, default = self.generator, torch.default_generator
        if not draws or own is default:
            yield
            return
        before = default.get_state()
        default.set_state(own.get_state())
        try:
            yield
        finally:
            own.set_state(default.get_state())
            default.set_state(before)

    def get_rng_state(self, device=NAME):
        return self.generator.get_state()

    def set_rng_state(self, state, device=NAME):
        self.generator.set_state(state)

    def manual_seed_all(self, seed):
        self.generator.manual_seed(seed)

    def get_amp_supported_dtype(self):
        return [torch.bfloat16, torch.float16]

    def is_initialized(self):
        return True

    def is_available(self):
        return True

    def device_count(self):
        return 1

    def current_device(self):
        return 0

    def _is_in_bad_fork(self):
        return False


_device = _Device()


def _inference_mode(mode=True):
    return torch.no_grad() if mode else contextlib.nullcontext()


def register():
    """Tell torch of the device, for good.

    Before the first backward pass, which counts the devices, and before llmreg is imported: views
    of tensors of another type can't be taken in inference mode.
    """
    torch.inference_mode, torch.Generator = _inference_mode, _Generator
    backend_registration._setup_privateuseone_for_python_backend(NAME, _device)


@contextlib.contextmanager
def second_device(own_generator=True):
    """Within this context, in one thread, torch can compute on the device.

    Without a generator of its own the device draws from the CPU's, so that a fit draws the same
    numbers on either.
    """
    _device.generator = torch.Generator() if own_generator else torch.default_generator
    # A module's weights become tensors of another type where they are moved.
    swaps = torch.__future__.get_swap_module_params_on_conversion()
    lifts = torch._C._only_lift_cpu_tensors()
    torch.__future__.set_swap_module_params_on_conversion(True)
    torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(..., device=...) is made, then moved
    try:
        with _NewTensors():
            yield
    finally:
        torch.__future__.set_swap_module_params_on_conversion(swaps)
        torch._C._set_only_lift_cpu_tensors(lifts)
