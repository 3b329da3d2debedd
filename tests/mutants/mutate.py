"""The mutants of one source file: a comparison, an operator, a constant, a condition or a return value changed."""

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One change. `name` outlives changes elsewhere in the file: where it is, what was there and what is there now."""

    path: str
    line: int
    name: str
    source: str  # of the whole file


def mutants(path: str, source: str) -> Iterator[Mutant]:
    """Every mutant of a file, in the order of its lines."""
    lines = source.encode().splitlines(keepends=True)
    starts = [sum(map(len, lines[:number])) for number in range(len(lines))]
    raw, seen = source.encode(), Counter[str]()
    for where, node, changed in _changes(ast.parse(source), ""):
        assert node.end_lineno is not None and node.end_col_offset is not None
        begin, end = starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset
        before, after = ast.unparse(node), ast.unparse(changed)
        text = f"({after})" if isinstance(node, ast.expr) else after
        name = f"{path}::{where or 'module'}: {_short(before)} -> {_short(after)}"
        seen[name] += 1
        name += f" #{seen[name]}" if seen[name] > 1 else ""
        yield Mutant(path=path, line=node.lineno, name=name, source=(raw[:begin] + text.encode() + raw[end:]).decode())


def _short(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= 70 else f"{one_line[:45]} ... {one_line[-20:]}"


def _changes(tree: ast.AST, where: str) -> Iterator[tuple[str, ast.expr | ast.stmt, ast.AST]]:
    for node in _children(tree):
        inside = f"{where}.{node.name}".strip(".") if isinstance(node, _SCOPES) else where
        if isinstance(node, ast.expr | ast.stmt):
            for changed in _changed(node):
                # The condition is changed, not the whole statement: so the rest keeps its form.
                yield inside, node.test if isinstance(node, ast.If) else node, changed
        yield from _changes(node, inside)


_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """What may be changed below a node: no annotation, pattern, f-string, docstring, assertion or line of the log."""
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "pattern"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not isinstance(child, ast.JoinedStr | ast.Assert) and not _is_log(child):
                yield child


def _is_log(node: ast.AST) -> bool:
    match node:
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="log")))):
            return True
    return False


def _changed(node: ast.expr | ast.stmt) -> Iterator[ast.AST]:
    match node:
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            for number, operator in enumerate(ops):
                other = _COMPARISONS[type(operator)]()
                yield ast.Compare(left=left, ops=[*ops[:number], other, *ops[number + 1 :]], comparators=comparators)
        case ast.BoolOp(op=operator, values=values):
            yield ast.BoolOp(op=ast.Or() if isinstance(operator, ast.And) else ast.And(), values=values)
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult() as operator, right=right):
            yield ast.BinOp(left=left, op=_OPERATORS[type(operator)](), right=right)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand
        case ast.Constant(value=bool(value)):
            yield ast.Constant(value=not value)
        case ast.Constant(value=int() | float() as value):
            yield ast.Constant(value=value + 1)
        case ast.Return(value=ast.expr() as value) if not (isinstance(value, ast.Constant)):
            yield ast.Return(value=ast.Constant(value=None))
        case ast.If():
            yield ast.Constant(value=False)
