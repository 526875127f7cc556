"""torch.autograd's functions: gradients as values, and the switches of recording.

torch.autograd 的函数：把梯度作为值取出来，以及记录运算的开关。
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from optimlab.backward import accumulate, as_grad, differentiate
from optimlab.custom import Function
from optimlab.dtype import float64
from optimlab.functional import TensorError
from optimlab.graph import _mode, enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from optimlab.operators import shape_of
from optimlab.tensor import Tensor

__all__ = [
    "Function",
    "GradcheckError",
    "Variable",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
]

Variable = Tensor


class set_detect_anomaly:
    """Let backward stop where a gradient becomes nan, and name the operation; in a ``with`` block until its end. 检测 nan。

    An error of backward names its operation in any case.
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._before, _mode.anomaly = _mode.anomaly, mode and check_nan

    def __enter__(self) -> None:
        """It is switched already."""

    def __exit__(self, *error: object) -> None:
        _mode.anomaly = self._before


class detect_anomaly:
    """Within ``with``, backward stops where a gradient becomes nan, and names the operation. 检测 nan。"""

    def __init__(self, check_nan: bool = True) -> None:
        self._wanted = check_nan
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should only be enabled for debugging.",
            stacklevel=2,
        )

    def __enter__(self) -> None:
        self._before, _mode.anomaly = _mode.anomaly, self._wanted

    def __exit__(self, *error: object) -> None:
        _mode.anomaly = self._before


Some = Tensor | Sequence[Tensor]


def _several(tensors: Any, what: str) -> list[Any]:
    """One tensor or several as a list."""
    found = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    for x in found:
        if not isinstance(x, Tensor):
            raise TypeError(f"{what} must be a Tensor or several, not {type(x).__name__}")
    return found


def _weights(outputs: list[Tensor], weights: Any) -> list[Any]:
    """One gradient, or None, for each output."""
    if weights is None:
        return [None] * len(outputs)
    found = [weights] if isinstance(weights, Tensor) else list(weights)
    if len(found) != len(outputs):
        raise TensorError(
            f"got {len(outputs)} tensors and {len(found)} gradients; there must be one gradient for each tensor"
        )
    return found


def grad(
    outputs: Some,
    inputs: Some,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of ``outputs`` by ``inputs``, as tensors; no ``grad`` is touched. 求 ``outputs`` 对 ``inputs`` 的梯度。

    grad_outputs: a weight for each element of each output; None for a one-element output. create_graph: the gradients have a
    history, so that they can be differentiated. allow_unused: None for an input that the outputs do not depend on, where
    otherwise a RuntimeError is raised; with materialize_grads zeros.
    """
    if is_grads_batched:
        raise NotImplementedError("is_grads_batched is not supported; call grad once for each row")
    results, sources = _several(outputs, "outputs"), _several(inputs, "inputs")
    edges = [x._edge() for x in sources]
    if None in edges:
        raise TensorError("One of the differentiated Tensors does not require grad; set requires_grad=True on it")
    found = differentiate(results, _weights(results, grad_outputs), retain_graph, create_graph, edges)
    gradients: list[Tensor | None] = []
    for i, (x, edge) in enumerate(zip(sources, edges, strict=True)):
        if id(edge) in found:
            _, g, shared = found[id(edge)]
            gradients.append(as_grad(x, g, shared))
        elif materialize_grads:
            gradients.append(Tensor._wrap(np.zeros_like(x._array)))
        elif allow_unused:
            gradients.append(None)
        else:
            raise TensorError(
                f"The differentiated Tensor at index {i} appears to not have been used in the graph. "
                "Set allow_unused=True if this is the desired behavior."
            )
    return tuple(gradients)


def backward(
    tensors: Some,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add the gradients of ``tensors`` to the ``grad`` of the leaves: what ``Tensor.backward`` does for several at once."""
    several = _several(tensors, "tensors")
    accumulate(several, _weights(several, grad_tensors), retain_graph, create_graph, inputs)


class GradcheckError(RuntimeError):
    """A derivative that differs from what the function's values say. 导数与数值差商不符。"""


def _parts(inputs: Any, outputs: Any) -> tuple[list[tuple[int, Tensor]], list[tuple[int, Tensor]]]:
    """The inputs and outputs that gradients flow between, each with its number."""
    sources = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    results = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    return (
        [(i, x) for i, x in enumerate(sources) if isinstance(x, Tensor) and x.requires_grad],
        [(i, y) for i, y in enumerate(results) if isinstance(y, Tensor) and y.is_floating_point()],
    )


def _numeric_slopes(run: Callable[[], list[np.ndarray]], x: np.ndarray, eps: float) -> Iterator[list[np.ndarray]]:
    """For each element of x, d(output)/d(element) of every output: central differences."""
    for at in np.ndindex(x.shape):
        before = x[at]
        try:
            x[at] = before + eps
            above = run()
            x[at] = before - eps
            below = run()
        finally:
            x[at] = before
        yield [(a - b) / (2 * eps) for a, b in zip(above, below, strict=True)]


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Compare backward's derivatives of ``func`` with differences of its values. 用差商检验反向传播的导数。

    inputs: what func is called with; tensors of float64 that require gradients are moved by ``eps``, element by element.
    Passes where |analytical - numerical| <= atol + rtol |numerical| everywhere and two passes back agree within nondet_tol;
    otherwise raises `GradcheckError`, or returns False without raise_exception. fast_mode changes nothing here.
    """
    if check_forward_ad or check_batched_grad or check_batched_forward_grad:
        raise NotImplementedError("forward-mode and batched derivatives are not supported; leave their checks False")
    arguments = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    sources, _ = _parts(arguments, ())
    if not sources:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of the them have requires_grad=True."
        )
    for i, x in sources:
        if x.dtype is not float64:
            warnings.warn(
                f"Input #{i} requires gradient and is not a double precision floating point; "
                "this check will likely fail if all the inputs are not of double precision floating point.",
                stacklevel=2,
            )
        if x.numel() and 0 in [s for s, n in zip(x._array.strides, x._array.shape, strict=True) if n > 1]:
            raise RuntimeError(
                f"The {i}th input has a dimension with stride 0; its elements share memory: pass a clone()"
            )

    def run() -> list[np.ndarray]:
        return [y._array.copy() for _, y in _parts((), func(*arguments))[1]]

    try:
        _, results = _parts((), func(*arguments))
        numeric = [list(_numeric_slopes(run, x._array, eps)) for _, x in sources]
        for number, (o, y) in enumerate(results):
            if not y.requires_grad:  # it does not depend on the inputs, and must not move with them
                slopes = [np.zeros((y.numel(), x.numel())) for _, x in sources]
            else:
                slopes, again = (_analytic_slopes(y, [x for _, x in sources]) for _ in range(2))
                if any((abs(a - b) > nondet_tol).any() for a, b in zip(slopes, again, strict=True)):
                    raise GradcheckError(
                        f"Backward is not reentrant, i.e., running backward with same input and grad_output multiple times "
                        f"gives different values for output {o}; each pass must compute the same"
                    )
            for (i, x), analytic, rows in zip(sources, slopes, numeric, strict=True):
                expected = np.array([row[number].ravel() for row in rows]).reshape(x.numel(), y.numel()).T
                if not np.allclose(analytic, expected, rtol, atol):
                    raise GradcheckError(
                        f"Jacobian mismatch for output {o} with respect to input {i},\nnumerical:{expected}\n"
                        f"analytical:{analytic}\n"
                    )
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _analytic_slopes(y: Tensor, sources: list[Tensor]) -> list[np.ndarray]:
    """d(y)/d(x) for each source as a matrix, (elements of y, elements of x): one pass back for each element of y."""
    rows: list[list[np.ndarray]] = []
    for at in np.ndindex(y._array.shape):
        seed = np.zeros_like(y._array)
        seed[at] = 1
        found = grad(y, sources, Tensor._wrap(seed), retain_graph=True, allow_unused=True, materialize_grads=True)
        for g, x in zip(found, sources, strict=True):
            if g is None or g.shape != x.shape or g.dtype is not x.dtype:
                raise GradcheckError(f"a gradient is {shape_of(g)}; it must be {shape_of(x)} {x.dtype}, as its input")
        rows.append([g._array.ravel() for g in found if g is not None])
    return [np.array([row[i] for row in rows]).reshape(y.numel(), x.numel()) for i, x in enumerate(sources)]


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """`gradcheck` of the derivatives of ``func``: second derivatives, by the inputs and by ``grad_outputs``. 检验二阶导数。

    grad_outputs: a weight for each element of each output; by default random normals.
    """
    arguments = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    sources, results = _parts(arguments, func(*arguments))
    if grad_outputs is None:
        draw = np.random.default_rng(0).standard_normal  # a check must not move the program's own random numbers
        weights = [Tensor(draw(y.shape), dtype=y.dtype, requires_grad=True) for _, y in results]
        if gen_non_contig_grad_outputs:
            weights = [Tensor._wrap(np.repeat(w._array[..., None], 2, -1)[..., 0]).requires_grad_() for w in weights]
    else:
        weights = _several(grad_outputs, "grad_outputs")
    kept = [y.requires_grad for _, y in results]
    weights = [w for w, keep in zip(weights, kept, strict=True) if keep]

    def slopes(*values: Any) -> tuple[Tensor, ...]:
        given, seeds = values[: len(arguments)], values[len(arguments) :]
        outputs = [y for _, y in _parts((), func(*given))[1] if y.requires_grad]
        found = grad(outputs, [given[i] for i, _ in sources], seeds, create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None)

    options = {"eps": eps, "atol": atol, "rtol": rtol, "raise_exception": raise_exception, "nondet_tol": nondet_tol}
    return gradcheck(slopes, (*arguments, *weights), **options)  # type: ignore[arg-type]
