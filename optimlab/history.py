"""How a tensor came to be: its history, its gradient, what changes in place do to them.

张量的来历：计算历史、梯度，以及原地修改的影响。
"""

import operator
import warnings
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from optimlab.arrays import TensorError
from optimlab.backward import accumulate, add_grad, on_arrays
from optimlab.dtype import KINDS
from optimlab.graph import Node, _mode, enable_grad, quiet
from optimlab.hooks import RemovableHandle, add_hook
from optimlab.operators import Base, shape_of

if TYPE_CHECKING:
    from optimlab.tensor import Tensor


class History(Base):
    """The methods of `Tensor` about what gradients flow through."""

    _array: Any
    _version: list[
        int
    ]  # counts changes in place, and those of them on record; tensors that share memory share the list
    _node: Node | None = None
    _grad: "Tensor | None" = None
    _requires_grad = False
    _base: "Tensor | None" = None  # the tensor whose memory this one shows, by the operation `_view`,
    _view: tuple[str, dict]
    _from: Node | None = None  # with its history when this one's was made, after `_seen` changes on record
    _seen = 0
    _hooks: dict[int, Callable] | None = None
    _post_hooks: dict[int, Callable] | None = None
    retains_grad = False

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded operation made it."""
        return self.grad_fn is None

    @property
    def grad_fn(self) -> Node | None:
        """The operation that made it; None for a leaf."""
        self._edge()
        return self._node

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow here. Can be set on leaves of floats."""
        return self._edge() is not None

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        if not isinstance(wanted, bool):
            raise TypeError(f"Invalid requires_grad: {wanted!r}; requires_grad must be True or False")
        if wanted and self._array.dtype.kind != "f":
            raise TensorError(
                f"only Tensors of floating point dtype can require gradients; this one is {self.dtype}: "
                "make it of floats, as in tensor([1.0]), or call .float()"
            )
        if self._node is not None and not wanted:
            raise TensorError(
                "you can only change requires_grad flags of leaf variables; "
                "call .detach() to go on with the value and without its history"
            )
        self._requires_grad = wanted and self._node is None

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Set ``requires_grad``; returns the tensor."""
        self.requires_grad = requires_grad
        return self

    @property
    def grad(self) -> "Tensor | None":
        """The gradients that ``backward`` has summed up here, or None. Can be set."""
        if self._grad is None and self._node is not None and not self.retains_grad:
            warnings.warn(
                "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute won't be "
                "populated during autograd.backward(). If you indeed want the .grad field to be populated for a non-leaf "
                "Tensor, use .retain_grad() on the non-leaf Tensor.",
                stacklevel=2,
            )
        return self._grad

    @grad.setter
    def grad(self, value: "Tensor | None") -> None:
        if value is not None and not hasattr(value, "_edge"):
            raise TypeError(f"Invalid grad: {value!r:.60}; grad must be a Tensor or None, not {type(value).__name__}")
        if value is self:
            raise TensorError("can't assign Variable as its own grad; assign p.detach() to use the numbers")
        if value is not None and (value._array.shape != self._array.shape or value._array.dtype != self._array.dtype):
            raise TensorError(
                f"assigned grad has data of a different size or type: {shape_of(value)} {value.dtype}; "
                f"grad must be like its tensor, {shape_of(self)} {self.dtype}"
            )
        self._grad = value

    # ---- in place

    def _check_no_leaf(self) -> None:
        """Raise where a change in place would be on record, and what it changes is a leaf."""
        shown: Any = self if _mode.recording else None
        while shown is not None:
            if shown._requires_grad:
                raise RuntimeError(
                    f"a {'' if shown is self else 'view of a '}leaf Variable that requires grad is being used in an "
                    "in-place operation; change it inside `with no_grad():`, or through an optimizer"
                )
            shown = shown._base

    def _become_view(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Become a view of what self is now, as the method ``name`` makes it: ``unsqueeze_`` and the like."""
        self._check_no_leaf()
        now = self._wrap(self._array)
        now.__dict__.update(self.__dict__)
        view = getattr(now, name)(*args, **kwargs)
        historical = view._node is not None or self._base is not None
        self.__dict__.update(view.__dict__ if historical else {"_array": view._array})
        self._version[0] += 1
        return self

    def _become(self, new: "Tensor") -> Any:
        """Take over the value of ``new``, which was computed from self: what the in-place methods do.

        The numbers are written into self's own memory, and with a history of ``new`` self and all whose memory it shows take
        it over.
        """
        self._check_no_leaf()
        array, numbers = self._array, new._array
        if numbers.shape != array.shape:
            raise TensorError(
                f"output with shape {list(array.shape)} doesn't match the broadcast shape {list(numbers.shape)}; "
                "an in-place operation cannot change a tensor's shape"
            )
        if numbers.dtype != array.dtype:
            if KINDS.index(numbers.dtype.kind) > KINDS.index(array.dtype.kind):
                raise TensorError(
                    f"result type {new.dtype} can't be cast to the desired output type {self.dtype}; use x = x + y"
                )
            new = new.to(self.dtype)
        _check_writeable(array)
        if new._node is not None:
            new._node.before_change(array)
        np.copyto(array, new._array, casting="unsafe")
        self._version[0] += 1
        if new._node is not None:
            new._node.moved(self)
            self._rebase(new._node)
        return self

    def _become_at(self, index: Any, value: Any) -> None:
        """Set some elements: what ``x[index] = value`` does."""
        if _mode.recording and (self.requires_grad or (hasattr(value, "_edge") and value.requires_grad)):
            self._become(self._record("setitem", self, value, index=index))
            return
        _check_writeable(self._array)
        quiet(operator.setitem, self._array, index, value._array if hasattr(value, "_edge") else value)
        self._version[0] += 1

    def _show(self, base: "Tensor", name: str, static: dict) -> None:
        """Be a view of ``base``, made by an operation of the table."""
        self._base, self._view, self._from = base, (name, static), base._node
        self._version, self._seen = base._version, base._version[1]

    def _rebase(self, node: Node) -> None:
        """From now on self is what ``node`` computed, and so is the part that it shows of other tensors."""
        chain, shown = [], self
        while shown._base is not None:
            chain.append((shown, shown._base, shown._base._edge()))
            shown = shown._base
        self._version[1] += 1
        self._node, self._seen = node, self._version[1]
        for view, base, edge in chain:
            node = Node("paste", (base, view), [base._array, view._array], [edge, node], base, {"view": view._view})
            base._node, base._seen, view._from = node, self._version[1], node

    def _follow(self) -> None:
        """Bring a view's history up to date with that of the tensors whose memory it shows."""
        chain, shown = [], self
        while shown._base is not None:
            chain.append(shown)
            shown = shown._base
        for view in reversed(chain):
            base = view._base
            assert base is not None
            if view._seen != self._version[1] and base._node is not view._from:
                with enable_grad():
                    view._node, view._from = base._record(view._view[0], base, **view._view[1])._node, base._node
            view._seen = self._version[1]

    def _called(self, label: str, overload: int = 0) -> Any:
        """The tensor, its last operation on record under torch's name for the whole that it ends."""
        if self._node is not None:
            self._node.label = f"{label}Backward{overload}"
        return self

    # ---- backward

    def _edge(self) -> Any:
        """Where a gradient for this tensor goes: to the operation that made it, or to the leaf itself."""
        if self._base is not None and self._seen != self._version[1]:
            self._follow()
        node = self._node
        return node if node is not None else (self if self._requires_grad else None)

    def backward(
        self,
        gradient: "Tensor | None" = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """Add d(self)/d(leaf) to the ``grad`` of every leaf this tensor was computed from. 把梯度累加到每个叶子的 ``grad``。

        gradient: a weight for each element, of the tensor's shape; a one-element tensor can do without. retain_graph: keep
        what was recorded, so that backward can run again; by default as create_graph. create_graph: record backward itself,
        so that gradients can be differentiated. inputs: the tensors whose ``grad`` to add to, in place of all leaves.
        Raises RuntimeError where nothing was recorded, or its record was freed; TensorError where gradient does not fit.
        """
        accumulate([cast(Any, self)], [gradient], retain_graph, create_graph, inputs)

    def detach(self) -> "Tensor":
        """The same memory, without history."""
        alias = self._wrap(self._array)
        alias._version = self._version
        return alias

    def detach_(self) -> Any:
        """Forget the history; returns the tensor, a leaf now."""
        if self._base is not None:
            raise TensorError("Can't detach views in-place; use detach() instead")
        self._node, self._requires_grad, self._hooks = None, False, None
        return self

    def clone(self, memory_format: Any = None) -> "Tensor":
        """A copy; gradients flow through it."""
        return self._record("clone", self)

    def retain_grad(self) -> None:
        """Let ``backward`` add to the ``grad`` of this tensor too, though it is no leaf."""
        if not self.requires_grad:
            raise TensorError("can't retain_grad on Tensor that has requires_grad=False; set requires_grad=True before")
        if self._node is None or self.retains_grad:
            return
        self.retains_grad = True
        reference = weakref.ref(self)

        def keep(g: Any) -> Any:
            if (tensor := reference()) is not None:
                add_grad(cast(Any, tensor), g, True)
            return g

        node: Any = self._node
        node._hooks = {} if node._hooks is None else node._hooks
        add_hook(node._hooks, keep)

    def register_hook(self, hook: Callable[["Tensor"], Any]) -> RemovableHandle:
        """Call ``hook(gradient)`` when a gradient for this tensor is known; what it returns takes the gradient's place.

        Returns a handle whose ``remove()`` takes the hook off.
        """
        if not callable(hook):
            raise TypeError(f"Invalid hook: {hook!r}; hook must be a function, not {type(hook).__name__}")
        owner: Any = self._edge()
        if owner is None:
            raise TensorError(
                "cannot register a hook on a tensor that doesn't require gradient; set requires_grad=True"
            )
        owner._hooks = {} if owner._hooks is None else owner._hooks
        return add_hook(owner._hooks, on_arrays(cast(Any, self), hook))

    def register_post_accumulate_grad_hook(self, hook: Callable[["Tensor"], None]) -> RemovableHandle:
        """Call ``hook(tensor)`` after backward has added to ``grad``: an optimizer can step there."""
        if not self.requires_grad or not self.is_leaf:
            raise TensorError(
                "post accumulate grad hooks cannot be registered on non-leaf tensors or without requires_grad"
            )
        self._post_hooks = {} if self._post_hooks is None else self._post_hooks
        return add_hook(self._post_hooks, hook)


def _check_writeable(array: Any) -> None:
    """Raise unless the array can be written to."""
    if isinstance(array, np.ndarray) and not array.flags.writeable:
        raise TensorError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory location, or "
            "the memory is read-only. Please clone() the tensor before performing the operation."
        )
