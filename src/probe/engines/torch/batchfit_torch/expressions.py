"""Sizes of an exported graph as text over the symbols B, S, H and W, and what the export assumed about them."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy
from sympy.core.relational import Relational

# Values that a symbol is tried at when the export's assumptions are turned into a range.
HIGHEST_TRIED = 4096
NARROWEST = 1.5


class NotExpressible(Exception):
    """An expression outside + - * // % min max over integers."""


def to_text(expression: Any, names: dict[Any, str]) -> str:
    """Writes a sympy integer expression with + - * // % min max. Raises NotExpressible for anything else."""
    if isinstance(expression, int):
        return str(expression)
    return _write(sympy.sympify(expression), names, 0)


def _write(e: Any, names: dict[Any, str], outer: int) -> str:
    """`outer` is how tightly the surrounding operator binds: 0 nothing, 1 a sum, 2 a product."""

    def within(text: str, level: int) -> str:
        return f"({text})" if level < outer else text

    kind = type(e).__name__
    if e.is_Symbol:
        if e not in names:
            raise NotExpressible(f"unknown symbol {e}")
        return names[e]
    if e.is_Integer:
        return str(int(e)) if e >= 0 else within(str(int(e)), 0 if outer == 0 else 1)
    if e.is_Add:
        # The positive terms first, so that a difference reads as one.
        terms = sorted(e.args, key=lambda term: (term.is_Integer, term.could_extract_minus_sign()))
        text = ""
        for term in terms:
            negative = bool(text) and term.could_extract_minus_sign()
            text += ("-" if negative else "+" if text else "") + _write(-term if negative else term, names, 2 if negative else 1)
        return within(text, 1)
    if e.is_Mul:
        return _product(e, names, outer)
    if e.is_Pow and e.exp.is_Integer and int(e.exp) > 0:
        return within("*".join([_write(e.base, names, 3)] * int(e.exp)), 2)
    if kind in ("FloorDiv", "CleanDiv"):
        return within(f"{_write(e.args[0], names, 2)}//{_write(e.args[1], names, 3)}", 2)
    if kind == "CeilDiv":
        a, b = (_write(arg, names, 3) for arg in e.args)
        return within(f"({a}+{b}-1)//{b}", 2)
    if kind in ("Mod", "PythonMod"):
        return within(f"{_write(e.args[0], names, 2)}%{_write(e.args[1], names, 3)}", 2)
    if kind in ("Max", "Min"):
        return f"{kind.lower()}({','.join(_write(arg, names, 0) for arg in e.args)})"
    if kind in ("TruncToInt", "FloorToInt", "CeilToInt", "RoundToInt", "floor", "ceiling"):
        return _rounded(kind, e.args[0], names, outer)
    if kind == "ToFloat" or kind == "Identity":
        return _write(e.args[0], names, outer)
    raise NotExpressible(f"{kind} in {e}")


def _product(e: Any, names: dict[Any, str], outer: int) -> str:
    numerator, denominator = e.as_numer_denom()
    if denominator != 1:
        # A product with a rational coefficient is only ever written for a division that leaves no rest.
        return _write(sympy.Function("CleanDiv")(numerator, denominator), names, outer)
    factors = sorted(e.args, key=lambda factor: (factor.is_Integer, str(factor)))
    # "//" and "%" bind as tightly as "*", so that only the first factor may stand without brackets.
    text = "*".join(_write(factor, names, 2 if index == 0 else 3) for index, factor in enumerate(factors))
    return f"({text})" if outer > 2 else text


def _rounded(kind: str, inner: Any, names: dict[Any, str], outer: int) -> str:
    """A float expression rounded to an integer, when it is an exact quotient or product of integers."""
    numerator, denominator = _fraction(inner)
    ceiling = kind in ("CeilToInt", "ceiling")
    if denominator == 1:
        return _write(numerator, names, outer)
    if kind == "RoundToInt":
        raise NotExpressible(f"round({inner})")
    return _write(sympy.Function("CeilDiv" if ceiling else "FloorDiv")(numerator, denominator), names, outer)


def _fraction(e: Any) -> tuple[Any, Any]:
    """A float expression as numerator and denominator of integers. Raises NotExpressible."""
    kind = type(e).__name__
    if kind in ("ToFloat", "Identity"):
        return _fraction(e.args[0])
    if kind in ("IntTrueDiv", "FloatTrueDiv"):
        (a, b), (c, d) = _fraction(e.args[0]), _fraction(e.args[1])
        return a * d, b * c
    if e.is_Float:
        exact = sympy.Rational(str(float(e))).limit_denominator(1 << 16)
        if float(exact) != float(e):
            raise NotExpressible(f"{e}")
        return sympy.Integer(exact.p), sympy.Integer(exact.q)
    if e.is_Mul:
        top, bottom = sympy.Integer(1), sympy.Integer(1)
        for factor in e.args:
            a, b = _fraction(factor)
            top, bottom = top * a, bottom * b
        return top, bottom
    if e.is_Rational:
        return sympy.Integer(e.p), sympy.Integer(e.q)
    if e.is_integer:
        return e, sympy.Integer(1)
    raise NotExpressible(f"{kind} in {e}")


def compile_condition(condition: Any, names: dict[Any, str]) -> tuple[Callable[..., bool], set[str]]:
    """A relation as a Python function of the symbols' names, and the names it uses. Raises NotExpressible."""

    def text(e: Any) -> str:
        if isinstance(e, Relational):
            return f"({_write(e.lhs, names, 0)}){'==' if e.rel_op == '==' else e.rel_op}({_write(e.rhs, names, 0)})"
        if isinstance(e, (sympy.And, sympy.Or)):
            return "(" + (" and " if isinstance(e, sympy.And) else " or ").join(text(arg) for arg in e.args) + ")"
        if isinstance(e, sympy.Not):
            return f"(not {text(e.args[0])})"
        if e in (sympy.true, sympy.false):
            return str(bool(e))
        raise NotExpressible(f"condition {e}")

    used = {names[symbol] for symbol in condition.free_symbols if symbol in names}
    if len(used) < len({s for s in condition.free_symbols}) and any(s not in names for s in condition.free_symbols):
        raise NotExpressible(f"condition {condition}")
    # Only names, numbers and the operators above can be in the text.
    code = compile(text(condition), "<condition>", "eval")
    return (lambda **values: bool(eval(code, {"__builtins__": {}, "min": min, "max": max}, values))), used


def fit_range(allowed: Callable[[int], bool], example: int) -> dict[str, int] | None:
    """
    A range `{min, max, multipleOf}` around the example that `allowed` accepts throughout: the one with the smallest step,
    or None when there is none. Bounds beyond what is tried are left out.
    """
    for step in (divisor for divisor in range(1, example // 2 + 1) if example % divisor == 0):
        low = high = example
        while low - step > 0 and allowed(low - step):
            low -= step
        while high + step <= HIGHEST_TRIED and allowed(high + step):
            high += step
        # A window around the example is not a range, as when only 221 to 224 lead down the example's path.
        if high < NARROWEST * low or not allowed(example):
            continue
        fitted = {"min": low} if low > step else {}
        if high + step <= HIGHEST_TRIED:
            fitted["max"] = high
        return fitted | ({"multipleOf": step} if step > 1 else {})
    return None
