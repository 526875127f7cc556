"""The catalogue of bad input: what a program wrongly writes, what must come of it, and words the message must have.

Each row is source text, run against optimlab by the tests and against torch by ``record``; names that rows use are made by
`names`. What stands before ``;;`` prepares; only what stands behind it is expected to fail, and must then have changed
nothing that was prepared. An outcome is a class of exception; ``ok`` (accepted on purpose); or ``nan`` (accepted, and NaN
or Inf spreads as in torch). The page "stricter than torch" is made of these rows and of what torch did with them.

错误输入总表：每一行是一段源代码，以及它应有的结果。
"""

import json
import math
import sys
import warnings
from pathlib import Path

import numpy as np

RECORDED = Path(__file__).parents[1] / "goldens" / "bad_input_torch.json"

BLOCKS = {
    "params": ("参数", "Parameters"),
    "options": ("超参数", "Hyper-parameters"),
    "step": ("梯度与更新", "Gradients and steps"),
    "closures": ("闭包", "Closures"),
    "state": ("优化器的状态字典", "An optimizer's state dictionary"),
    "modules": ("模型与层", "Modules"),
    "schedules": ("学习率调度器", "Schedules"),
    "schedule state": ("调度器的状态与参数组", "A schedule's state, and groups"),
    "clipping and averaging": ("梯度裁剪与权重平均", "Clipping and averaging"),
    "tensors": ("张量与自动微分", "Tensors and autograd"),
}

CASES = {
    "params": [
        ("SGD(leaf(), lr=0.1)", "TypeError", "iterable of Tensors"),
        ("SGD([], lr=0.1)", "ValueError", "empty parameter list"),
        ("SGD((p for p in []), lr=0.1)", "ValueError", "empty parameter list"),
        ("ps = nn.Linear(1, 1).parameters(); list(ps) ;; SGD(ps, lr=0.1)", "ValueError", "after one use"),
        ("SGD(None, lr=0.1)", "TypeError", "NoneType"),
        ("SGD(5, lr=0.1)", "TypeError", "int"),
        ("SGD('abc', lr=0.1)", "TypeError", "str"),
        ("SGD([np.ones(2)], lr=0.1)", "TypeError", "can only optimize Tensors"),
        ("SGD([1.0], lr=0.1)", "TypeError", "can only optimize Tensors"),
        ("SGD(nn.Linear(1, 1), lr=0.1)", "TypeError", "parameters()"),
        ("SGD(nn.Linear(1, 1).parameters, lr=0.1)", "TypeError", "parameters()"),
        ("SGD({'a': leaf()}, lr=0.1)", "TypeError", "[group]"),
        ("SGD({'params': [leaf()]}, lr=0.1)", "TypeError", "[group]"),
        ("SGD(nn.Linear(1, 1).state_dict().values(), lr=0.1)", "ValueError", "parameters()"),
        ("SGD({leaf(), leaf()}, lr=0.1)", "TypeError", "ordered collections"),
        ("SGD([{'params': {leaf(), leaf()}}], lr=0.1)", "TypeError", "ordered collections"),
        ("SGD([leaf()] * 2, lr=0.1)", "ValueError", "duplicate parameters"),
        ("p = leaf() ;; SGD([{'params': [p]}, {'params': [p]}], lr=0.1)", "ValueError", "more than one parameter group"),
        ("SGD([leaf() * 2], lr=0.1)", "ValueError", "non-leaf Tensor"),
        ("SGD([torch.ones(2)], lr=0.1)", "ok", ""),
        ("SGD([torch.tensor([1, 2])], lr=0.1)", "ValueError", "must be floats"),
        ("SGD([torch.tensor([True])], lr=0.1)", "ValueError", "must be floats"),
        ("SGD([np.array([None])], lr=0.1)", "TypeError", "can only optimize Tensors"),
        ("SGD([torch.tensor([1j])], lr=0.1)", "TypeError", "complex128"),
        ("SGD([{'lr': 0.1}])", "KeyError", "'params'"),
        ("SGD([{'params': [leaf()], 'lrr': 0.1}], lr=0.1)", "ValueError", "'lr'"),
        ("SGD([{'params': [leaf()], 'name': 'head'}], lr=0.1)", "ok", ""),
        ("SGD([{'params': [leaf()], 'lr': -1}], lr=0.1)", "ValueError", ">= 0"),
        ("Adam([{'params': [leaf()], 'betas': (2, 2)}])", "ValueError", "betas"),
        ("SGD([{'params': [leaf()], 'lr': nan}], lr=0.1)", "ValueError", "finite"),
        ("SGD([{'params': []}, {'params': [leaf()]}], lr=0.1)", "ok", ""),
        ("SGD([leaf(), {'params': [leaf()]}], lr=0.1)", "TypeError", "can only optimize Tensors"),
        ("SGD([{'params': [leaf()]}, leaf()], lr=0.1)", "TypeError", "param_group must be a dict"),
        ("SGD([('a', leaf()), leaf()], lr=0.1)", "ValueError", "with/without names"),
        ("SGD([('a', leaf()), ('a', leaf())], lr=0.1)", "ValueError", "twice"),
        ("o = stepped() ;; o.add_param_group([leaf()])", "TypeError", "param_group must be a dict"),
        (
            "o = stepped() ;; o.add_param_group({'params': [o.param_groups[0]['params'][0]]})",
            "ValueError",
            "more than one parameter group",
        ),
        ("o = stepped() ;; o.add_param_group({'params': [leaf(), leaf() * 2]})", "ValueError", "non-leaf Tensor"),
        ("a = torch.ones(4) ;; SGD([a[:3], a[1:]], lr=0.1)", "ValueError", "share memory"),
        ("a = torch.ones(1).expand(3) ;; SGD([a], lr=0.1)", "ValueError", "memory"),
    ],
    "options": [
        *[
            (f"SGD([leaf()], lr={lr})", wanted, words)
            for lr, wanted, words in [
                ("-1", "ValueError", "Invalid learning rate: -1"),
                ("nan", "ValueError", "finite number >= 0"),
                ("inf", "ValueError", "finite number >= 0"),
                ("-0.0", "ok", ""),
                ("0", "ok", ""),
                ("'0.1'", "TypeError", "not str"),
                ("True", "TypeError", "not bool"),
                ("1j", "TypeError", "not complex"),
                ("[0.1]", "TypeError", "not list"),
                ("None", "TypeError", "not NoneType"),
                ("torch.ones(2)", "ValueError", "1-element"),
                ("1e308", "ValueError", "too large for a parameter of torch.float32"),
            ]
        ],
        ("SGD([leaf()], lr=np.float32(0.5))", "ok", ""),
        ("SGD([leaf()], 0.1, 'fast')", "TypeError", "Invalid momentum value: fast"),
        ("SGD([leaf()], learning_rate=0.1)", "TypeError", "learning_rate"),
        ("SGD([leaf()], momentum=-0.1)", "ValueError", "Invalid momentum value: -0.1"),
        ("SGD([leaf()], momentum=nan)", "ValueError", "momentum"),
        ("SGD([leaf()], momentum=1.5)", "UserWarning", "momentum"),
        ("SGD([leaf()], momentum='x')", "TypeError", "momentum"),
        ("SGD([leaf()], weight_decay=-1)", "ValueError", "Invalid weight_decay value: -1"),
        ("SGD([leaf()], weight_decay=nan)", "ValueError", "weight_decay"),
        ("SGD([leaf()], momentum=0.9, dampening=-5)", "ValueError", "dampening"),
        ("SGD([leaf()], nesterov=True)", "ValueError", "Nesterov momentum requires"),
        ("SGD([leaf()], momentum=0.9, dampening=0.1, nesterov=True)", "ValueError", "Nesterov momentum requires"),
        ("SGD([leaf()], maximize='no')", "TypeError", "True or False"),
        ("Adam([leaf()], betas=(1.0, 0.9))", "ValueError", "Invalid beta parameter at index 0: 1.0"),
        ("Adam([leaf()], betas=(0.9, -0.1))", "ValueError", "Invalid beta parameter at index 1: -0.1"),
        ("Adam([leaf()], betas=(0.9,))", "ValueError", "betas must be 2 numbers"),
        ("Adam([leaf()], betas=0.9)", "TypeError", "betas must be 2 numbers"),
        ("Adam([leaf()], betas=(0.9, 0.9, 0.9))", "ValueError", "betas must be 2 numbers"),
        ("Adam([leaf()], betas=(0.9, nan))", "ValueError", "Invalid beta parameter at index 1: nan"),
        ("Adam([leaf()], betas=('a', 'b'))", "TypeError", "betas"),
        ("Adam([leaf()], betas=[0.9, 0.99])", "ok", ""),
        ("Adam([leaf()], betas=None)", "TypeError", "betas must be 2 numbers"),
        ("Adam([leaf()], eps=-1)", "ValueError", "Invalid epsilon value: -1"),
        ("Adam([leaf()], eps=nan)", "ValueError", "Invalid epsilon value: nan"),
        ("Adam([leaf()], eps=inf)", "ValueError", "Invalid epsilon value: inf"),
        ("Adam([leaf()], eps=None)", "TypeError", "epsilon"),
        ("Adam([leaf()], eps=0)", "ok", ""),
        ("Adam([leaf()], amsgrad=1)", "TypeError", "True or False"),
        ("Adam([leaf()], weight_decay=-1)", "ValueError", "Invalid weight_decay value: -1"),
        ("optim.Adamax([leaf()], betas=(0.9, 1.0))", "ValueError", "Invalid beta parameter at index 1: 1.0"),
        ("optim.RAdam([leaf()], betas=(1.0, 0.9))", "ValueError", "Invalid beta parameter at index 0: 1.0"),
        ("optim.NAdam([leaf()], momentum_decay=-1)", "ValueError", "Invalid momentum_decay value: -1"),
        ("optim.RMSprop([leaf()], alpha=2)", "ValueError", "Invalid alpha value: 2"),
        ("optim.RMSprop([leaf()], alpha=-1)", "ValueError", "Invalid alpha value: -1"),
        ("optim.RMSprop([leaf()], momentum=-1)", "ValueError", "Invalid momentum value: -1"),
        ("optim.Adagrad([leaf()], lr_decay=-1)", "ValueError", "Invalid lr_decay value: -1"),
        (
            "optim.Adagrad([leaf()], initial_accumulator_value=-1)",
            "ValueError",
            "Invalid initial_accumulator_value value: -1",
        ),
        ("optim.Adadelta([leaf()], rho=1.5)", "ValueError", "Invalid rho value: 1.5"),
        ("optim.Rprop([leaf()], etas=(1.2, 0.5))", "ValueError", "Invalid eta values: 1.2, 0.5"),
        ("optim.Rprop([leaf()], etas=(0.5, 1))", "ValueError", "Invalid eta values: 0.5, 1"),
        ("optim.Rprop([leaf()], step_sizes=(50, 1e-6))", "ValueError", "step_sizes"),
        ("optim.ASGD([leaf()], alpha=-1)", "ValueError", "alpha"),
        ("optim.ASGD([leaf()], t0=-1)", "ValueError", "t0"),
        ("optim.LBFGS([leaf()], lr=-1)", "ValueError", "Invalid learning rate: -1"),
        ("optim.LBFGS([leaf()], max_iter=-1)", "ValueError", "max_iter"),
        ("optim.LBFGS([leaf()], history_size=0)", "ValueError", "history_size"),
        ("optim.LBFGS([{'params': [leaf()]}, {'params': [leaf()]}])", "ValueError", "per-parameter options"),
        ("optim.LBFGS([leaf()], line_search_fn='wolfe')", "ValueError", "strong_wolfe"),
        ("optim.Adafactor([leaf()], lr=-1)", "ValueError", "Learning rate should be >= 0 but is: -1"),
        ("optim.Adafactor([leaf()], d=0.5)", "ValueError", "Clipping threshold d should be >= 1 but is: 0.5"),
        ("optim.Muon([leaf()])", "ValueError", "Muon only supports 2D parameters"),
        ("optim.Muon([torch.ones(2, 2)], ns_steps=200)", "ValueError", "ns_steps"),
    ],
    "step": [
        ("o = stepped(Adam); grads(o)[0][0] = nan ;; o.step()", "nan", ""),
        ("o = stepped(Adam); grads(o)[0][0] = inf ;; o.step()", "nan", ""),
        ("o = stepped(Adam); grads(o)[0][0] = -inf ;; o.step()", "nan", ""),
        ("o = stepped(Adam); grads(o)[0][:] = nan ;; o.step()", "nan", ""),
        ("p = leaf() ;; p.grad = torch.ones(3)", "RuntimeError", "size"),
        ("p = leaf() ;; p.grad = torch.ones(2, dtype=torch.float64)", "RuntimeError", "float64"),
        ("p = leaf() ;; p.grad = np.ones(2)", "TypeError", "Tensor"),
        ("p = leaf() ;; p.grad = [1.0, 1.0]", "TypeError", "Tensor"),
        ("p = leaf() ;; p.grad = np.ma.ones(2)", "TypeError", "Tensor"),
        ("p = leaf() ;; p.grad = torch.tensor([1, 2])", "RuntimeError", "int64"),
        ("p = leaf() ;; p.grad = p", "RuntimeError", "own grad"),
        ("p, q = leaf(), leaf(); p.grad = q.grad = torch.ones(2); o = SGD([p, q], lr=0.1) ;; o.step()", "ok", ""),
        ("o = stepped(Adam); second(o).data = torch.ones(5) ;; o.step()", "ValueError", "(5,)"),
        ("o = stepped(Adam); second(o).data = torch.ones(1) ;; o.step()", "ValueError", "(1,)"),
        ("o = stepped(Adam); state(o)['exp_avg'] = torch.ones(1) ;; o.step()", "ValueError", "exp_avg"),
        ("o = stepped(Adam); del state(o)['exp_avg'] ;; o.step()", "KeyError", "exp_avg"),
        (
            "o = stepped(Adam); state(o).clear(); state(o).update(momentum_buffer=torch.ones(2)) ;; o.step()",
            "KeyError",
            "step",
        ),
        ("o = stepped(Adam); state(o)['step'] = torch.tensor(-1.0) ;; o.step()", "ValueError", "step"),
        ("o = stepped(Adam); state(o)['step'] = torch.tensor(nan) ;; o.step()", "ValueError", "step"),
        ("o = stepped(); o.param_groups[0]['lr'] = 'x' ;; o.step()", "TypeError", "Invalid learning rate: x"),
        ("o = stepped(); o.param_groups[0]['lr'] = -1 ;; o.step()", "ValueError", "Invalid learning rate: -1"),
        ("o = stepped(); o.param_groups[0]['lr'] = nan ;; o.step()", "ValueError", "Invalid learning rate: nan"),
        ("o = stepped(); o.param_groups[0]['lr'] = inf ;; o.step()", "ValueError", "Invalid learning rate: inf"),
        ("o = stepped(); del o.param_groups[0]['lr'] ;; o.step()", "KeyError", "lr"),
        ("o = stepped(Adam); del o.param_groups[0]['params'][1] ;; o.step()", "ok", ""),
        ("o = stepped(Adam); second(o).requires_grad_(False); second(o).grad = None ;; o.step()", "ok", ""),
        ("o = stepped(Adam, params=[torch.ones(0, 3)]) ;; o.step()", "ok", ""),
        ("o = stepped(Adam); grads(o)[0][:] = 1e-30 ;; o.step()", "ok", ""),
        ("o = stepped(Adam); grads(o)[0][:] = 1e20 ;; o.step()", "RuntimeWarning", "overflow"),
        ("o = stepped(Adam, params=[half()]); grads(o)[0][:] = 1e-5; zero_state(o) ;; o.step()", "ok", ""),
        ("o = stepped(Adam, params=[half()]); grads(o)[0][:] = 6e4 ;; o.step()", "ok", ""),
        ("o = stepped(Adam, eps=0); zero(o); o.step() ;; o.step()", "ok", ""),
        ("p = leaf(); p.grad = torch.zeros(2); o = Adam([p], eps=0) ;; o.step()", "nan", ""),
        ("o = stepped(Adam); second(o).grad = None ;; o.step()", "ok", ""),
        (
            "def hook(*args): raise ArithmeticError('hook')\no = stepped(); o.register_step_pre_hook(hook) ;; o.step()",
            "ArithmeticError",
            "hook",
        ),
        (
            "def hook(*args): raise ArithmeticError('hook')\no = stepped(); o.register_step_post_hook(hook); before = second(o).tolist()\n"
            ";; try: o.step()\nexcept ArithmeticError: pass\nassert second(o).tolist() != before",
            "ok",
            "",
        ),
        ("o = stepped() ;; o.register_step_pre_hook(5)", "TypeError", "hook"),
        ("o = stepped(); o.register_step_pre_hook(lambda *args: 5) ;; o.step()", "RuntimeError", "new_args, new_kwargs"),
        ("o = stepped() ;; o.step(1, 2)", "TypeError", "argument"),
    ],
    "closures": [
        ("o = stepped() ;; o.step(raising(1))", "ArithmeticError", ""),
        ("o = lbfgs(raising(1)) ;; o.again()", "ArithmeticError", ""),
        ("o = lbfgs(raising(3)) ;; o.again()", "ArithmeticError", ""),
        ("o = lbfgs(raising(4), line_search_fn='strong_wolfe') ;; o.again()", "ArithmeticError", ""),
        ("o = lbfgs() ;; o.step()", "TypeError", "closure"),
        ("o = stepped() ;; o.step(5)", "TypeError", "closure"),
        ("o = lbfgs(lambda o: None) ;; o.again()", "TypeError", "closure"),
        ("o = lbfgs(lambda o: torch.ones(2)) ;; o.again()", "ValueError", "closure"),
        ("o = lbfgs(lambda o: 'loss') ;; o.again()", "TypeError", "closure"),
        ("o = lbfgs(lambda o: torch.tensor(nan)) ;; o.again()", "FloatingPointError", "nan"),
        ("o = lbfgs(lambda o: torch.tensor(inf)) ;; o.again()", "FloatingPointError", "inf"),
        ("p = leaf(); o = SGD([p], lr=0.1) ;; o.step(lambda: (p ** 2).sum())", "UserWarning", "backward"),
        ("o = stepped() ;; o.step(lambda: o.step())", "RuntimeError", "inside step"),
        ("o = stepped(lr=1) ;; o.step(lambda: second(o).data.fill_(10.0)); assert second(o).tolist() == [9.0, 9.0]", "ok", ""),
        ("o = stepped(lr=1) ;; o.step(lambda: o.param_groups[0].update(lr=0.5)); assert second(o).tolist() == [1.5, 2.5]", "ok", ""),
        ("o = stepped() ;; o.step(interrupted)", "KeyboardInterrupt", ""),
        ("o = stepped() ;; o.step(lambda: 1.5)", "ok", ""),
        ("o = stepped() ;; assert o.step(torch.is_grad_enabled)", "ok", ""),
    ],
    "state": [
        ("o = stepped(Adam) ;; o.load_state_dict({})", "KeyError", "'state'"),
        ("o = stepped(Adam) ;; o.load_state_dict(None)", "TypeError", "must be a dict"),
        ("o = stepped(Adam) ;; o.load_state_dict([])", "TypeError", "must be a dict"),
        ("o = stepped(Adam); s = saved(o); del s['state'] ;; o.load_state_dict(s)", "KeyError", "'state'"),
        ("o = stepped(Adam); s = saved(o); del s['param_groups'] ;; o.load_state_dict(s)", "KeyError", "'param_groups'"),
        ("o = stepped(Adam); s = saved(o); s['param_groups'] = {} ;; o.load_state_dict(s)", "ValueError", "'param_groups'"),
        ("o = stepped(Adam); s = saved(o); s['param_groups'] *= 2 ;; o.load_state_dict(s)", "ValueError", "number of parameter groups"),
        ("o = stepped(Adam); s = saved(o); s['param_groups'][0]['params'] = [0] ;; o.load_state_dict(s)", "ValueError", "size of optimizer's group"),
        ("o = stepped(Adam); s = saved(o); s['param_groups'][0]['params'] = [0, 0] ;; o.load_state_dict(s)", "ValueError", "parameter 0 twice"),
        ("o = stepped(Adam); s = saved(o, exp_avg=torch.ones(3)) ;; o.load_state_dict(s)", "ValueError", "(3,)"),
        ("o = stepped(Adam); s = saved(o, exp_avg=torch.ones(1)) ;; o.load_state_dict(s)", "ValueError", "(1,)"),
        ("o = stepped(Adam, params=[torch.ones(2, 3)]); s = saved(o, exp_avg=torch.ones(3, 2)) ;; o.load_state_dict(s)", "ValueError", "(3, 2)"),
        ("o = stepped(Adam); s = saved(stepped(SGD, momentum=0.9)) ;; o.load_state_dict(s)", "ValueError", "betas"),
        ("o = stepped(SGD, momentum=0.9); s = saved(stepped(Adam)) ;; o.load_state_dict(s)", "ValueError", "momentum"),
        ("o = stepped(optim.AdamW); s = saved(stepped(Adam)) ;; o.load_state_dict(s)", "ValueError", "decoupled_weight_decay"),
        ("o = stepped(optim.RMSprop); s = saved(stepped(Adam)) ;; o.load_state_dict(s)", "ValueError", "alpha"),
        ("o = stepped(Adam); s = saved(o); s['param_groups'][0]['amsgrad'] = True ;; o.load_state_dict(s)", "ValueError", "max_exp_avg_sq"),
        ("o = stepped(Adam); s = saved(o); del s['param_groups'][0]['lr'] ;; o.load_state_dict(s)", "KeyError", "lr"),
        *[
            (f"o = stepped(Adam); s = saved(o); s['param_groups'][0][{key!r}] = {value} ;; o.load_state_dict(s)", wanted, key)
            for key, value, wanted in [
                ("lr", "-1", "ValueError"),
                ("lr", "'x'", "TypeError"),
                ("lr", "nan", "ValueError"),
                ("betas", "None", "TypeError"),
            ]
        ],
        ("o = stepped(Adam); s = saved(o); s['param_groups'][0]['betas'] = [0.9, 0.99] ;; o.load_state_dict(s)", "ok", ""),
        ("o = stepped(Adam); s = saved(o); s['param_groups'][0]['name'] = 'head' ;; o.load_state_dict(s)", "ok", ""),
        ("o = stepped(Adam); s = saved(o); s['state'] = {'0': s['state'][0]} ;; o.load_state_dict(s)", "ValueError", "'0'"),
        ("o = stepped(Adam); s = saved(o); s['state'][99] = {} ;; o.load_state_dict(s)", "ValueError", "99"),
        ("o = stepped(Adam); s = saved(o); s['state'][-1] = {} ;; o.load_state_dict(s)", "ValueError", "-1"),
        ("o = stepped(Adam); s = saved(o); del s['state'][0]['exp_avg_sq'] ;; o.load_state_dict(s)", "ValueError", "exp_avg_sq"),
        ("o = stepped(Adam); s = saved(o, momentum_buffer=torch.ones(2)) ;; o.load_state_dict(s)", "UserWarning", "momentum_buffer"),
        ("o = stepped(Adam); s = saved(o, exp_avg_sq=torch.tensor([nan, 1.0])) ;; o.load_state_dict(s)", "ValueError", "exp_avg_sq"),
        ("o = stepped(Adam); s = saved(o, exp_avg_sq=torch.tensor([-1.0, 1.0])) ;; o.load_state_dict(s)", "ValueError", "exp_avg_sq"),
        ("o = stepped(Adam); s = saved(o, exp_avg=[1.0, 2.0]) ;; o.load_state_dict(s)", "TypeError", "list"),
        ("o = stepped(Adam); s = saved(o, exp_avg=np.ones(2, np.float32)) ;; o.load_state_dict(s)", "ok", ""),
        ("o = stepped(Adam); s = saved(o, step=3) ;; o.load_state_dict(s)", "ok", ""),
        ("o = stepped(Adam); s = saved(o, step=-1) ;; o.load_state_dict(s)", "ValueError", "step"),
        ("o = stepped(Adam); s = saved(o, exp_avg=torch.ones(2, dtype=torch.float64)) ;; o.load_state_dict(s)", "ok", ""),
        ("o = stepped(Adam); s = saved(o); s['param_groups'][0]['params'] = [5, 6] ;; o.load_state_dict(s)", "ValueError", "0"),
        ("o = stepped(Adam); s = saved(o); s['state'][0] = {} ;; o.load_state_dict(s)", "ValueError", "step"),
        ("o = stepped(Adam); s = saved(o); o.load_state_dict(s); s['state'][0]['exp_avg'][:] = 99.0 ;; assert state(o, 0)['exp_avg'][0] != 99", "ok", ""),
    ],
    "modules": [
        ("m = linear() ;; m.load_state_dict({'weight': torch.ones(1, 2)})", "RuntimeError", "bias"),
        ("m = linear() ;; m.load_state_dict(m.state_dict() | {'extra': torch.ones(1)})", "RuntimeError", "extra"),
        ("m = linear() ;; m.load_state_dict({'weight': torch.ones(2, 2), 'bias': torch.ones(1)})", "RuntimeError", "weight"),
        ("m = linear(); m.register_buffer('b', torch.tensor(0.0)) ;; m.load_state_dict(m.state_dict() | {'b': torch.ones(2)})", "RuntimeError", "b"),
        ("m = linear() ;; m.load_state_dict({'weight': torch.zeros(1, 2), 'bias': torch.ones(3)})", "RuntimeError", "bias"),
        ("m = linear() ;; m.load_state_dict({k: v.double() for k, v in m.state_dict().items()})", "ok", ""),
        ("m = linear() ;; m.load_state_dict({'weight': torch.tensor([[1, 2]]), 'bias': torch.ones(1)})", "UserWarning", "int64"),
        ("m = linear() ;; m.load_state_dict({'weight': np.ones((1, 2), np.float32), 'bias': torch.ones(1)})", "ok", ""),
        ("m = linear() ;; m.load_state_dict(None)", "TypeError", "dict"),
        ("m = linear() ;; assert m.load_state_dict({}, strict=False).missing_keys == ['weight', 'bias']", "ok", ""),
        ("m = linear() ;; m.load_state_dict({'weight': torch.tensor([[True, False]]), 'bias': torch.ones(1)})", "ValueError", "bool"),
        ("m = linear() ;; m.load_state_dict({'weight': torch.tensor([[nan, 1.0]]), 'bias': torch.ones(1)})", "UserWarning", "NaN"),
        ("nn.Linear(0, 1)(torch.ones(3, 0))", "UserWarning", "zero-element"),
        ("nn.Linear(-1, 1)", "ValueError", "in_features"),
        ("nn.Linear('2', 1)", "TypeError", "in_features"),
        ("linear()(torch.ones(4, 3))", "RuntimeError", "3"),
        ("nn.Dropout(1.5)", "ValueError", "1.5"),
        ("class Net(nn.Module):\n    def __init__(self): self.layer = nn.Linear(1, 1)\n;; Net()", "AttributeError", "super().__init__()"),
    ],
    "schedules": [
        ("S.StepLR(None, 3)", "TypeError", "is not an Optimizer"),
        ("S.StepLR(5, 3)", "TypeError", "is not an Optimizer"),
        *[
            (call if ";;" in call else f"o = stepped() ;; {call}", wanted, words)
            for call, wanted, words in [
                ("S.StepLR(o, 0)", "ValueError", "step_size"),
                ("S.StepLR(o, -2)", "ValueError", "step_size"),
                ("S.StepLR(o, 1.5)", "TypeError", "step_size"),
                ("S.StepLR(o, 3, gamma=nan)", "ValueError", "gamma"),
                ("S.StepLR(o, 3, gamma='x')", "TypeError", "gamma"),
                ("S.StepLR(o, 3, gamma=-1)", "ValueError", "gamma"),
                ("S.MultiStepLR(o, 3)", "TypeError", "milestones"),
                ("S.MultiStepLR(o, [8, 2])", "ok", ""),
                ("S.MultiStepLR(o, [-1])", "ValueError", "milestones"),
                ("S.MultiStepLR(o, [1.5])", "TypeError", "milestones"),
                ("S.ConstantLR(o, 2)", "ValueError", "between 0 and 1"),
                ("S.ConstantLR(o, -1)", "ValueError", "between 0 and 1"),
                ("S.LinearLR(o, start_factor=0)", "ValueError", "greater than 0"),
                ("S.LinearLR(o, end_factor=2)", "ValueError", "between 0 and 1"),
                ("S.LinearLR(o, total_iters=-1)", "ValueError", "total_iters"),
                ("S.LinearLR(o, total_iters=0)", "ok", ""),  # a warm-up of no epochs
                ("S.PolynomialLR(o, total_iters=0)", "ok", ""),
                ("S.PolynomialLR(o, total_iters=-1)", "ValueError", "total_iters"),
                ("S.PolynomialLR(o, power=-1)", "ValueError", "power"),
                ("S.CosineAnnealingLR(o, 0)", "ValueError", "T_max"),
                ("S.CosineAnnealingLR(o, -3)", "ValueError", "T_max"),
                ("S.CosineAnnealingLR(o, 5, eta_min=1.0)", "ok", ""),
                ("s = S.CosineAnnealingLR(o, 2); [(o.step(), s.step()) for _ in range(4)]", "ok", ""),
                ("S.CosineAnnealingWarmRestarts(o, 0)", "ValueError", "T_0"),
                ("S.CosineAnnealingWarmRestarts(o, 3, T_mult=0)", "ValueError", "T_mult"),
                ("S.OneCycleLR(o, 0.1)", "ValueError", "total_steps"),
                ("S.OneCycleLR(o, 0.1, total_steps=0)", "ValueError", "total_steps"),
                ("S.OneCycleLR(o, 0.1, total_steps=5, pct_start=1.5)", "ValueError", "pct_start"),
                ("S.OneCycleLR(o, -1, total_steps=5)", "ValueError", "max_lr"),
                ("S.OneCycleLR(o, 0.1, total_steps=5, anneal_strategy='x')", "ValueError", "anneal_strategy"),
                ("S.CyclicLR(o, 0.5, 0.1, cycle_momentum=False)", "ValueError", "max_lr"),
                ("S.CyclicLR(o, 0.1, 0.5, mode='x', cycle_momentum=False)", "ValueError", "mode"),
                ("S.CyclicLR(o, 0.1, 0.5, step_size_up=0, cycle_momentum=False)", "ValueError", "step_size_up"),
                ("o = stepped(optim.Adagrad) ;; S.CyclicLR(o, 0.1, 0.5)", "ValueError", "cycle_momentum"),
                ("S.ReduceLROnPlateau(o, mode='x')", "ValueError", "mode x is unknown"),
                ("S.ReduceLROnPlateau(o, factor=1.0)", "ValueError", "Factor should be < 1.0"),
                ("S.ReduceLROnPlateau(o, factor=-1)", "ValueError", "factor"),
                ("S.ReduceLROnPlateau(o, patience=-1)", "ValueError", "patience"),
                ("S.ReduceLROnPlateau(o, min_lr=[0, 0])", "ValueError", "min_lrs"),
                ("S.LambdaLR(o, [lambda t: 1.0] * 2)", "ValueError", "Expected 1 lr_lambdas"),
                ("S.LambdaLR(o, 0.5)", "TypeError", "function"),
                ("S.LambdaLR(o, lambda t: None)", "TypeError", "lr_lambda"),
                ("S.LambdaLR(o, lambda t: nan)", "ValueError", "finite"),
                ("S.LambdaLR(o, lambda t: -1.0)", "ValueError", ">= 0"),
                ("o = stepped(); parts = [S.ConstantLR(o)] ;; S.SequentialLR(o, parts, [3])", "ValueError", "milestone"),
                ("o = stepped(); parts = [S.ConstantLR(o), S.ConstantLR(stepped())] ;; S.SequentialLR(o, parts, [3])", "ValueError", "same optimizer"),
                ("o = stepped(); parts = [S.ConstantLR(o) for _ in range(3)] ;; S.SequentialLR(o, parts, [5, 2])", "ValueError", "milestones"),
                ("o = stepped(); parts = [S.ConstantLR(o), S.ReduceLROnPlateau(o)] ;; S.SequentialLR(o, parts, [3])", "ValueError", "ReduceLROnPlateau"),
                ("S.ChainedScheduler([])", "ValueError", "at least one scheduler"),
                ("o = stepped(); parts = [S.ConstantLR(o), S.ConstantLR(stepped())] ;; S.ChainedScheduler(parts)", "ValueError", "same optimizer"),
                ("S.StepLR(o, 3, last_epoch=5)", "KeyError", "initial_lr"),
            ]
        ],
        ("o = stepped(); s = S.CosineAnnealingWarmRestarts(o, 3) ;; s.step(-1)", "ValueError", "-1"),
        ("o = stepped(momentum=0.9); s = S.OneCycleLR(o, 0.1, total_steps=2); [s.step() for _ in range(2)] ;; s.step()", "ValueError", "number of total steps"),
        ("o = stepped(); s = S.ReduceLROnPlateau(o) ;; s.step()", "TypeError", "metrics"),
        ("o = stepped(); s = S.ReduceLROnPlateau(o) ;; s.step('x')", "ValueError", "metrics"),
        ("o = stepped(); s = S.ReduceLROnPlateau(o) ;; s.step(None)", "TypeError", "metrics"),
        ("o = stepped(); s = S.ReduceLROnPlateau(o); s.step(1.0) ;; s.step(nan)", "UserWarning", "nan"),
        ("o = stepped(); s = S.LambdaLR(o, lambda t: 1 / (1 - t)); o.step() ;; s.step()", "ZeroDivisionError", ""),
    ],
    "schedule state": [
        *[
            (f"o = stepped(); s = S.StepLR(o, 3); {prepare} ;; s.load_state_dict({state})", wanted, words)
            for prepare, state, wanted, words in [
                ("0", "{}", "KeyError", "gamma"),
                ("0", "s.state_dict() | {'junk': 1}", "KeyError", "junk"),
                ("0", "s.state_dict() | {'step_size': 'q'}", "TypeError", "step_size"),
                ("t = S.CosineAnnealingLR(stepped(), 3)", "t.state_dict()", "ValueError", "T_max"),
                ("0", "s.state_dict() | {'get_lr': 1}", "ValueError", "get_lr"),
                ("0", "None", "TypeError", "dict"),
                ("0", "s.state_dict() | {'last_epoch': -5}", "ValueError", "last_epoch"),
            ]
        ],
        ("o = stepped(); s = S.LambdaLR(o, lambda t: 0.5); o.add_param_group({'params': [leaf()]}); o.step() ;; s.step()", "ok", ""),
        ("o = stepped(); s = S.StepLR(o, 3); o.add_param_group({'params': [leaf()]}); s.step() ;; assert len(s.base_lrs) == 2", "ok", ""),
        (
            "o = stepped(lr=0.5); s = S.LinearLR(o, 0.1); o.step(); s.step(); a, b, lr = saved(o), s.state_dict(), o.param_groups[0]['lr']\n"
            "o = stepped(lr=0.5); o.load_state_dict(a); s = S.LinearLR(o, 0.1); s.load_state_dict(b) ;; assert o.param_groups[0]['lr'] == lr",
            "ok",
            "",
        ),
    ],
    "clipping and averaging": [
        *[
            (f"o = stepped(); ps = o.param_groups[0]['params'] ;; {call}", wanted, words)
            for call, wanted, words in [
                ("clip_norm(ps, -1)", "ValueError", "max_norm"),
                ("clip_norm(ps, nan)", "ValueError", "max_norm"),
                ("grads(o)[0][:] = 1e30; clip_norm(ps, 1.0); assert grads(o)[0][0] > 0.5", "ok", ""),
                ("clip_norm(ps, 1.0, norm_type=0)", "ValueError", "norm_type"),
                ("clip_norm(ps, 1.0, norm_type=-1)", "ValueError", "norm_type"),
                ("clip_norm(ps, 1.0, norm_type='x')", "ValueError", "norm_type"),
                ("assert clip_norm([], 1.0) == 0", "ok", ""),
                ("clip_value(ps, -1)", "ValueError", "clip_value"),
                ("W.get_ema_multi_avg_fn(1.5)", "ValueError", "Invalid decay value 1.5"),
                ("W.get_ema_multi_avg_fn(nan)", "ValueError", "Invalid decay value nan"),
                ("W.AveragedModel(None)", "TypeError", "Module"),
                ("W.AveragedModel(linear(), avg_fn=len, multi_avg_fn=len)", "AssertionError", "Only one of"),
                ("W.SWALR(o, 0.1, anneal_epochs=-1)", "ValueError", "anneal_epochs"),
                ("W.SWALR(o, [0.1, 0.2])", "ValueError", "swa_lr"),
            ]
        ],
        ("o = stepped(); grads(o)[0][0] = inf ;; clip_norm(o.param_groups[0]['params'], 1.0)", "UserWarning", "error_if_nonfinite"),
        ("o = stepped(); grads(o)[0][0] = inf ;; clip_norm(o.param_groups[0]['params'], 1.0, error_if_nonfinite=True)", "RuntimeError", "non-finite"),
        ("a = W.AveragedModel(linear()); a.update_parameters(linear()) ;; a.update_parameters(nn.Linear(3, 1))", "ValueError", "(1, 3)"),
        ("a = W.AveragedModel(linear()); a.update_parameters(linear()) ;; a.update_parameters(nn.Linear(2, 1, bias=False))", "ValueError", "shapes"),
        (
            "a, m = W.AveragedModel(linear()), linear(); a.update_parameters(m); m.weight.data[0, 0] = nan ;; a.update_parameters(m)",
            "UserWarning",
            "weight",
        ),
    ],
    "tensors": [
        ("x = leaf().sum(); x = (x * x).sum(); x.backward() ;; x.backward()", "RuntimeError", "second time"),
        ("(leaf() * 2).backward()", "RuntimeError", "scalar outputs"),
        ("torch.ones(1).backward()", "RuntimeError", "does not require grad"),
        ("leaf().add_(1)", "RuntimeError", "in-place operation"),
        ("p = leaf(); x = p * 1; y = x * x; x.add_(1) ;; y.sum().backward()", "RuntimeError", "modified by an inplace operation"),
        ("p, q = leaf(), leaf(); y = (p * q).sum(); p.grad = torch.ones(2); SGD([p], lr=0.1).step() ;; y.backward()", "RuntimeError", "modified by an inplace operation"),
        ("x = leaf()\nfor _ in range(20_000): x = x + 0\n;; x.sum().backward()", "ok", ""),
        ("p = leaf() ;; (p * 2).backward(torch.ones(3))", "RuntimeError", "(3,)"),
        ("leaf() + torch.ones(3)", "RuntimeError", "3"),
        ("torch.ones(2, 3) @ torch.ones(2, 3)", "RuntimeError", "cannot be multiplied"),
        ("assert math.isnan(torch.log(torch.tensor(-1.0)))", "ok", ""),
        ("assert math.isinf(torch.tensor(1.0) / 0)", "ok", ""),
        ("leaf()[5]", "IndexError", "5"),
        ("torch.tensor([1, 2], requires_grad=True)", "RuntimeError", "floating point"),
        ("if leaf() > 0: pass", "RuntimeError", "ambiguous"),
        ("x = np.ones(2, np.float32) + leaf() ;; assert x.requires_grad", "ok", ""),
    ],
}  # fmt: skip


def rows():
    """All rows as (block, code, wanted, words)."""
    return [(block, *row) for block, table in CASES.items() for row in table]


def names(torch, made):
    """What rows may name; optimizers, modules and schedules that they make are put into the list ``made``."""
    optim, nn, schedules = torch.optim, torch.nn, torch.optim.lr_scheduler

    def leaf(*values):
        return torch.tensor(list(values or (1.0, 2.0)), requires_grad=True)

    def stepped(cls=optim.SGD, params=None, **options):
        """An optimizer of two parameters that has taken a step."""
        optimizer = cls(params or [leaf(), leaf(3.0, 4.0)], **options)
        for p in optimizer.param_groups[0]["params"]:
            p.grad = torch.ones(p.shape, dtype=p.dtype)
        optimizer.step()
        made.append(optimizer)
        return optimizer

    def lbfgs(loss=None, **options):
        """L-BFGS on a bowl after one step; ``again`` takes another with the loss that is given."""
        p = leaf()
        optimizer = optim.LBFGS([p], lr=0.1, max_iter=5, **options)

        def bowl():
            optimizer.zero_grad()
            value = ((p - 3) ** 4).sum()
            value.backward()
            return value

        optimizer.step(bowl)
        optimizer.bowl = bowl
        optimizer.again = lambda: optimizer.step(lambda: loss(optimizer))
        made.append(optimizer)
        return optimizer

    def raising(at):
        """A closure that works until its call number ``at``."""
        calls = []

        def closure(optimizer=None):
            calls.append(1)
            if len(calls) == at:
                raise ArithmeticError("from the closure")
            return optimizer.bowl()

        return closure

    def interrupted():
        raise KeyboardInterrupt

    def linear():
        module = nn.Linear(2, 1)
        made.append(module)
        return module

    def parameter(optimizer, i):
        return optimizer.param_groups[0]["params"][i]

    def saved(optimizer, **changes):
        state = optimizer.state_dict()
        first = {**state["state"].get(0, {}), **changes}
        groups = [{**group, "params": list(group["params"])} for group in state["param_groups"]]
        return {"state": {**{k: dict(v) for k, v in state["state"].items()}, 0: first}, "param_groups": groups}

    def half():
        return torch.tensor([1.0, 2.0], dtype=torch.float16, requires_grad=True)

    def zero_state(optimizer):
        for x in (x for state in optimizer.state.values() for x in state.values()):
            x.zero_()

    def zero(optimizer):
        for p in optimizer.param_groups[0]["params"]:
            p.grad.zero_()

    class Schedules:
        """The schedules; each that is made is put into ``made``."""

        def __getattr__(self, name):
            def make(*args, **kwargs):
                schedule = getattr(schedules, name)(*args, **kwargs)
                made.append(schedule)
                return schedule

            return make

    return {
        "torch": torch, "np": np, "math": math, "nan": math.nan, "inf": math.inf, "nn": nn, "optim": optim,
        "S": Schedules(), "W": optim.swa_utils, "SGD": optim.SGD, "Adam": optim.Adam, "leaf": leaf, "stepped": stepped,
        "lbfgs": lbfgs, "raising": raising, "interrupted": interrupted, "linear": linear, "saved": saved, "zero": zero,
        "half": half, "zero_state": zero_state,
        "second": lambda o: parameter(o, 1), "grads": lambda o: [p.grad for p in o.param_groups[0]["params"]],
        "state": lambda o, i=1: o.state[parameter(o, i)],
        "clip_norm": nn.utils.clip_grad_norm_, "clip_value": nn.utils.clip_grad_value_,
    }  # fmt: skip


def run(torch, code, before=lambda made: None):
    """Run a row. Returns the exception or None, everything that was prepared, and what ``before`` made of that."""
    made = []
    space = names(torch, made)
    prepare, _, call = code.rpartition(";;")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(prepare.strip(), space)
    prepared = [*made, *(x for x in space.values() if isinstance(x, torch.optim.Optimizer) and x not in made)]
    kept = before(prepared)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            exec(call.strip(), space)
    except (Exception, KeyboardInterrupt) as error:
        return error, prepared, kept
    return None, prepared, kept


def spread(made):
    """Whether a parameter of what was made is no longer finite."""
    parameters = (p for o in made if hasattr(o, "param_groups") for g in o.param_groups for p in g["params"])
    return not all(math.isfinite(x) for p in parameters for x in np.ravel(p.detach().numpy()))


def outcome(torch, code):
    """What torch does with a row, in one word."""
    try:
        error, made, _ = run(torch, code)
    except Exception as wrong:  # even the preparation is refused
        return type(wrong).__name__
    if error is None:
        return "nan" if spread(made) else "ok"
    return type(error).__name__


def main():
    """Record what torch does."""
    import torch

    if torch.__version__.split("+")[0] != "2.13.0":
        sys.exit(f"recorded from torch 2.13.0, this is {torch.__version__}")
    found = {code: outcome(torch, code) for _, code, _, _ in rows()}
    RECORDED.write_text(json.dumps(found, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
    print(
        len(found),
        "rows;",
        sum(found[code] == "ok" != wanted for _, code, wanted, _ in rows()),
        "accepted that we refuse",
    )


if __name__ == "__main__":
    main()
