"""Module: parts as attributes, states all or nothing, hooks, containers, and torch's texts."""

import copy
from collections import OrderedDict

import numpy as np
import pytest

import optimlab as ol
from optimlab import nn


class Net(nn.Module):
    def __init__(self, torch=ol):
        super().__init__()
        self.fc1 = torch.nn.Linear(2, 3)
        self.act = torch.nn.ReLU()
        self.rest = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
        self.register_buffer("count", torch.zeros(1))
        self.register_buffer("scratch", torch.zeros(2), persistent=False)
        self.empty = None

    def forward(self, x):
        return self.rest(self.act(self.fc1(x)))


KEYS = ["count", "fc1.weight", "fc1.bias", "rest.0.weight", "rest.0.bias", "rest.2.weight", "rest.2.bias"]
TEXT = """\
Net(
  (fc1): Linear(in_features=2, out_features=3, bias=True)
  (act): ReLU()
  (rest): Sequential(
    (0): Linear(in_features=3, out_features=3, bias=True)
    (1): ReLU()
    (2): Linear(in_features=3, out_features=1, bias=True)
  )
)"""


def test_parts_are_found_by_name():
    net = Net()
    assert list(net.state_dict()) == KEYS and [n for n, _ in net.named_parameters()] == KEYS[1:]
    assert [n for n, _ in net.named_buffers()] == ["count", "scratch"] and len(list(net.buffers())) == 2
    assert [n for n, _ in net.named_children()] == ["fc1", "act", "rest"] and len(list(net.modules())) == 7
    assert [n for n, _ in net.named_modules()][-2:] == ["rest.1", "rest.2"]
    assert net.get_submodule("rest.2") is net.rest[2] and net.get_parameter("rest.2.bias") is net.rest[2].bias
    assert net.get_buffer("count") is net.count and len(list(net.parameters(recurse=False))) == 0
    with pytest.raises(AttributeError, match="Net has no attribute `fc3`"):
        net.get_submodule("fc3")
    assert repr(net) == TEXT and "fc1" in dir(net)
    net.fc1 = None
    assert list(net.state_dict())[1] == "rest.0.weight" and net.fc1 is None
    del net.fc1, net.scratch
    assert not hasattr(net, "fc1") and [n for n, _ in net.named_buffers()] == ["count"]


def test_shared_parts_count_once():
    net = Net()
    net.again = net.fc1
    assert len(list(net.parameters())) == 6 and "again.weight" in net.state_dict()
    assert len(list(net.named_parameters(remove_duplicate=False))) == 8


def test_a_state_is_loaded_whole():
    source, net = Net(), Net()
    result = net.load_state_dict(source.state_dict())
    assert repr(result) == "<All keys matched successfully>" and result.missing_keys == []
    for a, b in zip(source.state_dict().values(), net.state_dict().values(), strict=True):
        assert a.tolist() == b.tolist() and a is not b
    shared = net.state_dict()["fc1.weight"]
    net.fc1.weight.data.zero_()
    assert shared.tolist() == np.zeros((3, 2)).tolist()  # as in torch: the state is a view of the module
    assert net.state_dict(keep_vars=True)["fc1.weight"] is net.fc1.weight
    assert next(iter(net.state_dict(prefix="net."))) == "net.count"


def numbers(net):
    return [x.tolist() for x in net.state_dict().values()]


BAD_STATES = [
    ({"fc1.bias": None}, "received <class 'NoneType'>"),
    ({"fc1.bias": [1.0, 2.0, 3.0]}, "received <class 'list'>"),
    ({"fc1.bias": ol.ones(4)}, r"size mismatch for fc1.bias: copying a param with shape torch.Size\(\[4\]\)"),
    ({"fc1.bias": ol.ones(3, dtype=ol.bool)}, "dtype mismatch for fc1.bias: copying bool"),
    ({"count": ol.tensor(1.0)}, r"torch.Size\(\[\]\) from checkpoint"),
    ({"more": ol.ones(1)}, 'Unexpected key.s. in state_dict: "more". '),
]


@pytest.mark.parametrize(("change", "message"), BAD_STATES)
def test_what_does_not_fit_changes_nothing(change, message):
    net = Net()
    before = numbers(net)
    state = {**Net().state_dict(), **change}
    with pytest.raises(RuntimeError, match=rf"Error\(s\) in loading state_dict for Net:\n\t(.|\n)*{message}"):
        net.load_state_dict(state)
    assert numbers(net) == before


def test_keys_may_be_left_out_on_demand():
    net, state = Net(), Net().state_dict()
    first = state.pop("fc1.weight")
    state["more"] = first
    with pytest.raises(RuntimeError, match=r'Missing key.*"fc1.weight"(.|\n)*Unexpected(.|\n)*strict=False'):
        net.load_state_dict(state)
    result = net.load_state_dict(state, strict=False)
    assert result.missing_keys == ["fc1.weight"] and result.unexpected_keys == ["more"]
    assert net.fc1.bias.tolist() == state["fc1.bias"].tolist() and net.fc1.weight.tolist() != first.tolist()
    for wrong in (None, [], 5):
        with pytest.raises(TypeError, match="Expected state_dict to be dict-like"):
            net.load_state_dict(wrong)


def test_numbers_of_other_kinds():
    net, state = Net(), Net().state_dict()
    net.load_state_dict({key: x.double().numpy() for key, x in state.items()})  # arrays, and float64: cast in silence
    assert net.fc1.weight.dtype is ol.float32 and numbers(net) == [x.tolist() for x in state.values()]
    with pytest.warns(UserWarning, match="count is int64 in the state dict; it is cast to float32"):
        net.load_state_dict({**state, "count": ol.tensor([3])})
    assert net.count.tolist() == [3.0]
    with pytest.warns(UserWarning, match="count holds NaN"):
        net.load_state_dict({**state, "count": ol.tensor([float("nan")])})


def test_a_state_of_ones_own_tensors_exchanged():
    net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    a, b = (layer.weight.tolist() for layer in net)
    state = net.state_dict()
    net.load_state_dict({"0.weight": state["1.weight"], "1.weight": state["0.weight"]})
    assert [net[0].weight.tolist(), net[1].weight.tolist()] == [b, a]


def test_assign_takes_the_tensors_over():
    net, state = Net(), Net().state_dict()
    net.load_state_dict({key: x.double() for key, x in state.items()}, assign=True)
    assert net.fc1.weight.dtype is ol.float64 and isinstance(net.fc1.weight, nn.Parameter)


def test_loading_is_noticed_by_a_graph():
    net = Net()
    loss = (net(ol.ones(1, 2)) ** 2).sum()
    net.load_state_dict(Net().state_dict())
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_before_init():
    class Early(nn.Module):
        def __init__(self, value):
            self.width = 3  # plain attributes may come early, as in torch
            self.part = value

    with pytest.raises(AttributeError, match=r"cannot assign parameters before Module.__init__\(\) call; .*super"):
        Early(nn.Parameter(ol.ones(1)))
    with pytest.raises(AttributeError, match=r"cannot assign module before Module.__init__\(\) call; .*super"):
        Early(nn.ReLU())
    half = Early(5)
    for use in (half, lambda x: half.parameters(), lambda x: repr(half), lambda x: half.train()):
        with pytest.raises(AttributeError, match=r"Module.__init__\(\) was not called; .*super\(\).__init__\(\)"):
            list(use(1))


def test_names_are_checked():
    m = nn.Module()
    m.lin = nn.Linear(1, 1)
    m.register_buffer("buf", ol.ones(2))
    for error, message, call in [
        (KeyError, "buffer name can.*t contain", lambda: m.register_buffer("a.b", None)),
        (KeyError, "can.*t be empty string", lambda: m.register_parameter("", None)),
        (TypeError, "buffer name should be a string. Got int", lambda: m.register_buffer(5, None)),
        (KeyError, "attribute 'forward' already exists", lambda: m.register_buffer("forward", None)),
        (TypeError, "cannot assign 'int' object to buffer 'x'", lambda: m.register_buffer("x", 5)),
        (
            TypeError,
            "cannot assign 'torch.FloatTensor' object to parameter",
            lambda: m.register_parameter("x", ol.ones(1)),
        ),
        (TypeError, "int is not a Module subclass", lambda: m.add_module("x", 5)),
        (TypeError, "cannot assign 'int' as child module 'lin'", lambda: setattr(m, "lin", 5)),
        (TypeError, "as parameter 'weight'", lambda: setattr(m.lin, "weight", ol.ones(1, 1))),
        (TypeError, "cannot assign 'int' as buffer 'buf'", lambda: setattr(m, "buf", 5)),
        (AttributeError, "'Module' object has no attribute 'nope'", lambda: m.nope),
        (NotImplementedError, "missing the required", lambda: m(1)),
        (TypeError, "only accepts floating point", lambda: m.to(ol.int64)),
        (AssertionError, "not compiled with CUDA", lambda: m.to("cuda")),
        (AssertionError, "not compiled with CUDA", lambda: m.cuda()),
    ]:
        with pytest.raises(error, match=message):
            call()


def test_to_and_apply():
    net = Net()
    net(ol.ones(1, 2)).sum().backward()
    assert net.double() is net and net.fc1.weight.dtype is net.fc1.weight.grad.dtype is net.count.dtype is ol.float64
    assert (
        net.to("cpu").float().fc1.weight.dtype is ol.float32 and net.to(ol.ones(1).double()).count.dtype is ol.float64
    )
    order = []
    assert net.apply(lambda m: order.append(type(m).__name__)) is net
    assert order == ["Linear", "ReLU", "Linear", "ReLU", "Linear", "Sequential", "Net"]
    assert not net.eval().rest[1].training and net.train().act.training
    net.requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())


def test_hooks():
    net, seen = nn.Linear(1, 1), []
    handles = [
        net.register_forward_pre_hook(lambda m, args: (args[0] * 2,)),
        net.register_forward_hook(lambda m, args, out: seen.append((args[0].item(), out.item()))),
        net.register_forward_hook(lambda m, args, kwargs, out: out + 1, with_kwargs=True, prepend=True),
    ]
    out = net(ol.ones(1))
    plain = net.forward(ol.tensor([2.0])).item()
    assert seen == [(2.0, out.item())] and out.item() == pytest.approx(plain + 1)
    for handle in handles:
        handle.remove()
    assert net(ol.tensor([2.0])).item() == plain
    with pytest.raises(TypeError, match="Invalid hook"):
        net.register_forward_hook(5)


def test_a_copy_is_of_its_own():
    net = Net()
    twin = copy.deepcopy(net)
    twin.fc1.weight.data.zero_()
    assert net.fc1.weight.tolist() != twin.fc1.weight.tolist() and list(twin.state_dict()) == KEYS


def test_sequential():
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    assert len(net) == 3 and net[-1] is net[2] and len(net[:2]) == 2 and isinstance(net[:2], nn.Sequential)
    net.append(nn.Tanh()).insert(1, nn.Tanh())
    assert [type(m).__name__ for m in net] == ["Linear", "Tanh", "ReLU", "Linear", "Tanh"]
    del net[1:3]
    assert list(net._modules) == ["0", "1", "2"] and isinstance(net.pop(), nn.Tanh)
    net[0] = nn.Linear(2, 3, bias=False)
    assert list(net.state_dict()) == ["0.weight", "1.weight", "1.bias"]
    named = nn.Sequential(OrderedDict(fc=nn.Linear(1, 1), act=nn.ReLU()))
    assert list(named.state_dict()) == ["fc.weight", "fc.bias"] and list(named[:1]._modules) == ["fc"]
    del named[0]
    assert list(named._modules) == ["act"] and repr(nn.Sequential()) == "Sequential()"
    assert len(net + nn.ModuleList([nn.ReLU()])) == 3
    with pytest.raises(TypeError, match="int is not a Module subclass"):
        nn.Sequential(5)
    with pytest.raises(IndexError, match="index 2 is out of range"):
        net[2]


def test_lists_and_dicts():
    layers = nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1)])
    layers.append(nn.ReLU()).extend([nn.Tanh()])
    layers += [nn.Tanh()]
    assert len(layers) == 5 and isinstance(layers[1:], nn.ModuleList) and len(list(layers.parameters())) == 4
    parts = nn.ModuleDict({"a": nn.ReLU()})
    parts["b"] = nn.Linear(1, 1)
    assert list(parts) == ["a", "b"] and "a" in parts and list(parts.state_dict()) == ["b.weight", "b.bias"]
    assert isinstance(parts.pop("a"), nn.ReLU) and len(parts) == 1
    values = nn.ParameterList([ol.ones(2, 3), nn.Parameter(ol.ones(()))]).append(ol.ones(1))
    assert len(list(values.parameters())) == 3 and list(values.state_dict()) == ["0", "1", "2"]
    named = nn.ParameterDict({"a": ol.ones(2)})
    named["b"] = ol.zeros(1)
    assert list(named.state_dict()) == ["a", "b"] and named["a"].requires_grad
    with pytest.raises(TypeError, match=r"module name should be a string. Got int"):
        nn.ModuleDict({5: nn.ReLU()})


def test_torch_prints_the_same():
    torch = pytest.importorskip("torch")

    def containers(t):
        n = t.nn
        yield n.Sequential(n.Linear(2, 3), n.Sequential(n.ReLU(), n.Sequential()))
        yield n.ModuleList([n.Linear(1, 1), n.Linear(1, 1), n.ReLU(), n.Tanh(), n.Tanh()])
        yield n.ModuleDict({"a": n.ReLU(), "b": n.ModuleList([n.ReLU()])})
        yield n.ParameterList([n.Parameter(t.ones(2, 3)), n.Parameter(t.ones(()))])
        yield n.ModuleList()
        yield n.ParameterList()

    for ours, theirs in zip(containers(ol), containers(torch), strict=True):
        assert repr(ours) == repr(theirs)
    messages = []
    for t in (ol, torch):
        net = t.nn.Sequential(t.nn.Linear(2, 3), t.nn.Linear(3, 1))
        state = {key: x for key, x in net.state_dict().items() if key != "0.bias"}
        state |= {"more": t.ones(1), "0.weight": t.ones(2, 2), "1.bias": 5}
        with pytest.raises(RuntimeError) as error:
            net.load_state_dict(state)
        messages.append(str(error.value))
    assert messages[0].startswith(messages[1])
