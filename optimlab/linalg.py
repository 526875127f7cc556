"""torch.linalg: NumPy's linear algebra on tensors. 线性代数。

Gradients flow through norms, `inv`, `solve`, `det` and `cholesky`; where a derivative is not here, a tensor that requires grad
is refused.
"""

import math
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np

from optimlab.arrays import TensorError, perform, swap
from optimlab.functional import register
from optimlab.graph import _mode
from optimlab.reductions import _Pair
from optimlab.tensor import Tensor, apply


class LinAlgError(TensorError):
    """A matrix that has no inverse, or no factors of the kind. 矩阵不可逆，或无法分解。"""


def _cholesky_by_a(g: Any, y: Any) -> Any:
    n = y.shape[-1]
    half = swap(y) @ g * (np.tri(n, dtype=y.dtype if isinstance(y, np.ndarray) else y.dtype.numpy) - np.eye(n) / 2)
    by_a = swap(perform("solve", swap(y), swap(perform("solve", swap(y), half))))
    return (by_a + swap(by_a)) / 2


register({
    "inv": (np.linalg.inv, lambda g, y: -(swap(y) @ g @ swap(y))),
    "solve": (
        np.linalg.solve,
        lambda g, a, y: -(perform("solve", swap(a), g) @ swap(y)),
        lambda g, a: perform("solve", swap(a), g),
    ),
    "det": (np.linalg.det, lambda g, a, y: (g * y)[..., None, None] * swap(perform("inv", a))),
    "cholesky": (np.linalg.cholesky, _cholesky_by_a),
})  # fmt: skip


def _matrix(name: str, a: Any, square: bool = True) -> Tensor:
    """``a`` if it is a matrix, or a batch of them."""
    if not isinstance(a, Tensor):
        raise TypeError(f"linalg.{name}: A must be a Tensor, not {type(a).__name__}")
    if a.ndim < 2:
        raise TensorError(f"linalg.{name}: The input tensor A must have at least 2 dimensions; it has {a.ndim}")
    if a._array.dtype not in (np.float32, np.float64):
        raise TensorError(
            f"linalg.{name}: Expected a floating point or complex tensor as input. Got {a.dtype}; call .float()"
        )
    if square and a.shape[-1] != a.shape[-2]:
        raise TensorError(f"linalg.{name}: A must be batches of square matrices, but they are {tuple(a.shape[-2:])}")
    return a


def _tried(name: str, function: Callable, *args: Any, **options: Any) -> Any:
    try:
        return function(*args, **options)
    except np.linalg.LinAlgError as error:
        raise LinAlgError(
            f"linalg.{name}: {error}; a small multiple of eye(n), added to the matrix, may help"
        ) from None


def inv(A: Tensor) -> Tensor:
    """The inverse of a matrix; to divide by a matrix `solve` is better. 逆矩阵。"""
    return _tried("inv", apply, "inv", _matrix("inv", A))


def det(A: Tensor) -> Tensor:
    """The determinant. 行列式。"""
    return _tried("det", apply, "det", _matrix("det", A))


def cholesky(A: Tensor) -> Tensor:
    """The lower triangular L with A = L Lᵀ, for a symmetric positive definite A. Cholesky 分解。"""
    return _tried("cholesky", apply, "cholesky", _matrix("cholesky", A))


def solve(A: Tensor, B: Tensor) -> Tensor:
    """The X with A X = B; B is a vector or a matrix. 解线性方程组。"""
    vector = B.ndim == 1
    b = B.unsqueeze(1) if vector else B
    if _matrix("solve", A)._array.dtype != b._array.dtype:
        raise TensorError(
            f"linalg.solve: Expected A and B to have the same dtype, but found A of type {A.dtype} and B of type {B.dtype}"
        )
    if A.shape[-1] != b.shape[-2]:
        raise TensorError(
            "linalg.solve: Incompatible shapes of A and B for the equation AX = B "
            f"({A.shape[-2]}x{A.shape[-1]} and {b.shape[-2]}x{b.shape[-1]})"
        )
    x = _tried("solve", apply, "solve", A, b)
    return x.squeeze(1) if vector else x


# ---- without derivatives


def _result(name: str, fields: str) -> Any:
    return type(f"linalg_{name}", (_Pair, namedtuple(name, fields)), {"__module__": __name__, "__slots__": ()})


RESULTS = {
    "qr": _result("qr", "Q R"),
    "eigh": _result("eigh", "eigenvalues eigenvectors"),
    "svd": _result("svd", "U S Vh"),
    "slogdet": _result("slogdet", "sign logabsdet"),
}


def _factored(name: str, A: Any, *args: Any, square: bool = True, function: Any = None, **options: Any) -> Any:
    """What NumPy's function of this name computes, as tensors without a history."""
    if _mode.recording and _matrix(name, A, square).requires_grad:
        raise NotImplementedError(f"linalg.{name} has no derivative here; call it on A.detach(), or within no_grad()")
    found = _tried(name, function or getattr(np.linalg, name), A._array, *args, **options)
    return RESULTS[name](*map(Tensor._wrap, found)) if name in RESULTS else Tensor._wrap(np.asarray(found))


def qr(A: Tensor, mode: str = "reduced") -> Any:
    """Q with orthonormal columns and the upper triangular R with A = Q R. QR 分解。"""
    return _factored("qr", A, mode, square=False)


def svd(A: Tensor, full_matrices: bool = True) -> Any:
    """U, the singular values S and Vh with A = U diag(S) Vh. 奇异值分解。"""
    return _factored("svd", A, full_matrices, square=False)


def svdvals(A: Tensor) -> Tensor:
    """The singular values, the largest first. 奇异值。"""
    return _factored("svdvals", A, square=False, function=np.linalg.svd, compute_uv=False)


def eigh(A: Tensor, UPLO: str = "L") -> Any:
    """The eigenvalues of a symmetric matrix, the smallest first, and its eigenvectors as columns. 对称矩阵的特征分解。"""
    return _factored("eigh", A, UPLO)


def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """The eigenvalues of a symmetric matrix, the smallest first. 对称矩阵的特征值。"""
    return _factored("eigvalsh", A, UPLO)


def slogdet(A: Tensor) -> Any:
    """The sign of the determinant, and the logarithm of its absolute value. 行列式的符号与对数。"""
    return _factored("slogdet", A)


def pinv(A: Tensor) -> Tensor:
    """The pseudo-inverse of Moore and Penrose. 伪逆。"""
    return _factored("pinv", A, square=False)


# ---- norms


def vector_norm(x: Tensor, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """(Σ |x|^ord)^(1 / ord) over the axes ``dim``, by default all. 向量范数。"""
    return (x if dtype is None else x.to(dtype)).norm(ord, dim, keepdim)


def matrix_norm(
    A: Tensor, ord: Any = "fro", dim: tuple[int, int] = (-2, -1), keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """A norm of the matrices along the two axes ``dim``. 矩阵范数。

    ord: "fro"; "nuc", the sum of the singular values; 2, the largest of them; 1, the largest sum of a column; inf, of a row;
    -2, -1, -inf: the smallest.
    """
    a = _matrix("matrix_norm", A if dtype is None else A.to(dtype), False)
    if ord == "fro":
        return a.norm(2, dim, keepdim)
    a = a.movedim(dim[0], -1).movedim(dim[1] - (dim[1] % a.ndim > dim[0] % a.ndim), -1) if dim != (-2, -1) else a
    if ord in ("nuc", 2, -2):
        values = svdvals(a)
        found = values.sum(-1) if ord == "nuc" else values.amax(-1) if ord > 0 else values.amin(-1)
    elif not isinstance(ord, str) and abs(ord) in (1, math.inf):
        sums = a.abs().sum(-2 if abs(ord) == 1 else -1)
        found = sums.amax(-1) if ord > 0 else sums.amin(-1)
    else:
        raise TensorError(f"linalg.matrix_norm: Order {ord} not supported; ord is 'fro', 'nuc', ±1, ±2 or ±inf")
    return (
        found.reshape([1 if i in (dim[0] % A.ndim, dim[1] % A.ndim) else n for i, n in enumerate(A.shape)])
        if keepdim
        else found
    )


def norm(A: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """`vector_norm` or `matrix_norm`: of a matrix where ord is given and dim is two axes, or A is a matrix. 范数。"""
    axes = 1 if isinstance(dim, int) else A.ndim if dim is None else len(dim)
    if isinstance(ord, str) or (ord is not None and axes == 2):
        return matrix_norm(A, ord, (-2, -1) if dim is None else dim, keepdim, dtype=dtype)
    return vector_norm(A, 2 if ord is None else ord, dim, keepdim, dtype=dtype)
