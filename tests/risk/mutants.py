"""Spoils one place of `workbench/risk` at a time and asks the tests of `tests/risk` whether they find out.

    python -m tests.risk.mutants            every mutant, on all cores; prints the survivors and the kill rate
    python -m tests.risk.mutants gate rules  of these modules only
    python -m tests.risk.mutants 25         of so many, spread over all

A mutant is one change of the syntax tree: a comparison's edge or direction, a number, a boolean, an operator, a condition turned round,
`and` for `or`, `min` for `max`, `any` for `all`, a returned value dropped, a statement left out. Texts and annotations are left alone.
Each runs in a forked process of its own, where the package and its tests are imported anew; what hangs for `LIMIT_S` is found out too.
A mutant that nothing can tell from the original stands in `EQUIVALENT`, with the reason.
"""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.abc
import importlib.util
import inspect
import itertools
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from workbench.sessions import SessionCalendar

ROOT = Path(__file__).resolve().parents[2]
RISK = ROOT / "workbench" / "risk"
LIMIT_S = 60
MODULES = ("known", "limits", "kill", "throttle", "instrument", "worst", "book", "view", "case", "rules", "gate")
FIRST = {  # module -> the tests that are asked first
    "limits": "limits", "kill": "kill", "throttle": "throttle", "instrument": "worst", "worst": "worst", "book": "worst", "view": "gate",
    "case": "loss", "rules": "rules", "gate": "gate", "known": "rules",
}  # fmt: skip
TESTS = ("rules", "loss", "gate", "limits", "kill", "throttle", "worst")

_EQUAL = "what is equal is no change, and never comes here"
_LOOSER = "return new > old if limit.is_ceiling else new < old"
_ENDS = "ends = sorted({terms.expiry for terms, qty in parts if terms.expiry is not None and qty < 0})"
_BEFORE = "before = sum((qty for order in orders for symbol, qty in order.legs if symbol == leg.symbol and qty * added > 0), ZERO)"
_WITHIN = "return held * added < 0 and abs(before + added) <= abs(held)"
EQUIVALENT = {  # (module, line of code, mutation) -> why nothing can tell it from the original
    ("limits", _LOOSER, "Gt to GtE"): _EQUAL,
    ("limits", _LOOSER, "Lt to LtE"): _EQUAL,
    ("worst", _ENDS, "Lt to LtE"): "what nets to 0 is left out before",
    ("case", _BEFORE, "Gt to GtE"): "a leg of 0 adds 0",
    ("case", _BEFORE, "Mult to Div"): "only the sign is looked at, and no order adds 0",
    ("case", _WITHIN, "Lt to LtE"): "where nothing is held, nothing above 0 is within it",
    ("case", _WITHIN, "Mult to Div"): "only the sign is looked at, and no order adds 0",
}

COMPARE = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt), ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
}  # fmt: skip
OPERATE = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.Pow: ast.Mult,
}
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}


@dataclass(frozen=True)
class Mutant:
    """One change: the n-th of a module."""

    module: str
    number: int
    line: int
    code: str
    what: str

    def __str__(self):
        return f"{self.module}.py:{self.line} {self.what}: {self.code}"


def variants(node):
    """Yield (what, replacement) for one node. None as a replacement leaves a statement out."""
    match node:
        case ast.Compare(ops=[op]):
            for other in COMPARE[type(op)]:
                yield f"{type(op).__name__} to {other.__name__}", ast.Compare(node.left, [other()], node.comparators)
        case ast.Compare(ops=ops):
            for i, op in enumerate(ops):
                for other in COMPARE[type(op)]:
                    yield (
                        f"{type(op).__name__} {i} to {other.__name__}",
                        ast.Compare(node.left, [*ops[:i], other(), *ops[i + 1 :]], node.comparators),
                    )
        case ast.BoolOp(op=op, values=values):
            yield "and, or", ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
        case ast.BinOp(left, op, right) if type(op) in OPERATE:
            yield f"{type(op).__name__} to {OPERATE[type(op)].__name__}", ast.BinOp(left, OPERATE[type(op)](), right)
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield "sign dropped", operand
        case ast.Constant(value=bool(value)):
            yield f"{value} turned", ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield f"{value} + 1", ast.Constant(value + 1)
        case ast.IfExp(test, body, orelse):
            yield "condition turned", ast.IfExp(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.If(test, body, orelse):
            yield "condition turned", ast.If(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.comprehension(target, iterator, ifs, is_async) if ifs:
            for i, one in enumerate(ifs):
                yield (
                    f"filter {i} turned",
                    ast.comprehension(target, iterator, [*ifs[:i], ast.UnaryOp(ast.Not(), one), *ifs[i + 1 :]], is_async),
                )
        case ast.Name(id=name, ctx=ast.Load()) if name in NAMES:
            yield f"{name} to {NAMES[name]}", ast.Name(NAMES[name], ast.Load())
        case ast.Return(value) if value is not None and not (isinstance(value, ast.Constant) and value.value is None):
            yield "returns None", ast.Return(ast.Constant(None))
        case ast.AugAssign() | ast.Raise() | ast.Expr(value=ast.Call()):
            yield "left out", ast.Pass()


class Spoil(ast.NodeTransformer):
    """Applies the n-th change of a tree; counts them all when there is no n-th."""

    def __init__(self, wanted=-1):
        self.wanted, self.found, self.line = wanted, [], 0

    def visit(self, node):
        if isinstance(node, ast.arguments | ast.AnnAssign | ast.Assert | ast.JoinedStr | ast.Import | ast.ImportFrom):
            return self.only(node)
        self.line = getattr(node, "lineno", self.line)
        for what, other in variants(node):
            self.found.append((self.line, what))
            if len(self.found) - 1 == self.wanted:
                return ast.copy_location(other, node) if hasattr(node, "lineno") else other
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            node.body = [self.visit(one) for one in node.body]  # neither decorators nor annotations
            return node
        return self.generic_visit(node)

    def only(self, node):
        """Values of defaults and annotated assignments are mutated, types and texts are not."""
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            node.value = self.visit(node.value)
        elif isinstance(node, ast.JoinedStr):
            for part in node.values:
                if isinstance(part, ast.FormattedValue):
                    part.value = self.visit(part.value)
        return node


def spoiled(module, number):
    """Return the code of a module with one change, and the changes that it can have."""
    path = RISK / f"{module}.py"
    spoil = Spoil(number)
    tree = ast.fix_missing_locations(spoil.visit(ast.parse(path.read_text())))
    return compile(tree, str(path), "exec"), spoil.found


def mutants(modules=MODULES):
    """Return every mutant but those of `EQUIVALENT`."""
    found = []
    for module in modules:
        lines = (RISK / f"{module}.py").read_text().splitlines()
        for number, (line, what) in enumerate(spoiled(module, -1)[1]):
            found.append(Mutant(module, number, line, lines[line - 1].strip(), what))
    return [one for one in found if (one.module, one.code, one.what) not in EQUIVALENT]


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives one module of the package as other code."""

    def __init__(self, name, code):
        self.name, self.code = name, code

    def find_spec(self, name, path=None, target=None):
        return importlib.util.spec_from_loader(name, self) if name == self.name else None

    def exec_module(self, module):
        exec(self.code, module.__dict__)


def run_tests(first):
    """Run every test of the tables, without pytest; the first that fails raises."""
    given = {"root": ROOT, "calendar": SessionCalendar.xnys()}
    for name in dict.fromkeys((first, *TESTS)):
        module = importlib.import_module(f"tests.risk.test_{name}")
        for test in [one for key, one in vars(module).items() if key.startswith("test_")]:
            marks = getattr(test, "pytestmark", [])
            if hasattr(test, "hypothesis") or any(mark.name == "soak" for mark in marks):
                continue
            for values in itertools.product(*(cases_of(mark) for mark in marks)):
                chosen = functools.reduce(lambda one, other: one | other, values, {})
                test(**chosen, **{name: given[name] for name in inspect.signature(test).parameters if name in given})


def cases_of(mark):
    names, values = mark.args
    names = [names] if isinstance(names, str) and "," not in names else names
    return [dict(zip(names, value if len(names) > 1 else (value,))) for value in values]


def forget():
    """Forget the package and its tests, so that they are imported anew."""
    for name in [name for name in sys.modules if name.startswith(("workbench.risk", "tests.risk.")) and name != __name__]:
        del sys.modules[name]


def started(mutant):
    """Start the tests on a mutant (None: on the package as it is) in a process of their own; return its id. It ends with 0 when all pass."""
    child = os.fork()
    if child:
        return child
    answer = 1
    try:
        signal.alarm(LIMIT_S)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        forget()
        if mutant is not None:
            sys.meta_path.insert(0, Finder(f"workbench.risk.{mutant.module}", spoiled(mutant.module, mutant.number)[0]))
        run_tests(FIRST[mutant.module] if mutant else TESTS[0])
        answer = 0
    finally:
        os._exit(answer)


def survivors(chosen, at_once):
    """Return the mutants that nothing noticed."""
    SessionCalendar.xnys()  # loaded once, for all
    started(None)
    if os.wait()[1]:
        raise SystemExit("the tests fail without any mutant, so they can't tell one")
    running, left = {}, []
    for mutant in [*chosen, *[None] * at_once]:
        if len(running) == at_once or (mutant is None and running):
            child, status = os.wait()
            found = running.pop(child)
            left += [] if status else [found]
        if mutant is not None:
            running[started(mutant)] = mutant
    return left


def main(modules, some=0):
    """Print what survived and how many did not; `some` above 0: only so many, spread over all."""
    every = mutants(modules or MODULES)
    chosen = every[:: max(len(every) // some, 1)][:some] if some else every
    left = survivors(chosen, os.cpu_count() or 1)
    print("".join(f"survived: {one}\n" for one in left), end="")
    print(f"{len(chosen) - len(left)} of {len(chosen)} mutants found out; {len(EQUIVALENT)} that nothing can tell left out")
    return 1 if left else 0


if __name__ == "__main__":
    words = sys.argv[1:]
    sys.exit(main(tuple(word for word in words if not word.isdigit()), some=sum(int(word) for word in words if word.isdigit())))
