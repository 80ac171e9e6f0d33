"""Numbers that evaluate an expression in a randomly chosen legal way: what some implementer might have written.

A ``Number`` collects a product without evaluating it. When its value is needed, an ``Implementer`` draws the order of
multiplying and dividing, the form of a weighted mean, whether a sum is fused with a product, the precision in which
each scalar is held, and for every operation the format it is rounded to: that of the storage, a wider one, or none.

Two kinds of values, and nothing of ``rmspec.impl.arithmetic.intervals``: ``Vectors`` are NumPy arrays, whose single operations are
correctly rounded (halves through float32, which is innocuous as 24 >= 2 * 11 + 2), for volume; ``Exact`` are numbers of
``EXACT_BITS`` bits, rounded by MPFR with the exponent range and the subnormals of the format, for depth.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import gmpy2
import ml_dtypes
import numpy as np

from rmspec.impl.arithmetic.formats import Format
from rmspec.impl.spec.dialect import Dialect, Hyperparameters
from rmspec.impl.spec.pseudocode import Symbols, iterate

EXACT_BITS = 2600
"""Holds every sum and product of two float64 numbers exactly, down to the smallest subnormal."""

EXACT = gmpy2.context(precision=EXACT_BITS, emin=-(2**40), emax=2**40)

ROUNDINGS = {
    "float16": gmpy2.ieee(16),
    "bfloat16": gmpy2.context(precision=8, emax=128, emin=-132, subnormalize=True),
    "float32": gmpy2.ieee(32),
    "float64": gmpy2.ieee(64),
    "exact": EXACT,
}

DTYPES = {
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
    "longdouble": np.dtype(np.longdouble),
}

WIDER = {
    "float16": ("float32", "float64"),
    "bfloat16": ("float32", "float64"),
    "float32": ("float64",),
    "float64": ("longdouble",),
}


def cast(values: Any, dtype: np.dtype[Any]) -> Any:
    """``values`` rounded once to ``dtype``; NumPy's cast to bfloat16 rounds twice, but for odd float32."""
    values = np.asarray(values)
    if dtype == DTYPES["bfloat16"] and values.dtype.itemsize > 4:
        single = values.astype(np.float32)
        single = np.where(np.abs(single) > np.abs(values), np.nextafter(single, np.float32(0)), single)
        inexact = (single.astype(values.dtype) != values) & np.isfinite(values)
        values = np.where(inexact, (single.view(np.uint32) | np.uint32(1)).view(np.float32), single)
    if dtype == DTYPES["float16"] and values.dtype == DTYPES["longdouble"]:
        raise TypeError("no single rounding from longdouble to float16")
    return values.astype(dtype)


class Vectors:
    """NumPy arrays as values: each operation in the storage format or in a wider one."""

    def __init__(self, fmt: str, rng: random.Random) -> None:
        self.storage = DTYPES[fmt]
        self.targets = [DTYPES[name] for name in (fmt, fmt, *WIDER[fmt])]
        self.rank = [DTYPES[name] for name in (fmt, *WIDER[fmt])]
        if fmt == "float64":
            self.rank = [DTYPES["float32"], *self.rank]
        if fmt == "bfloat16":
            self.rank = [DTYPES["bfloat16"], DTYPES["float32"], DTYPES["float64"]]
        self.rng = rng

    def value(self, number: Any) -> Any:
        return cast(number, self.storage)

    def scalar(self, exact: Fraction, double: float, single: bool) -> Any:
        return np.asarray(np.float32(double) if single else np.float64(double))

    def stored(self, value: Any) -> Any:
        return cast(value, self.storage).astype(np.float64)

    def operate(self, name: str, *operands: Any) -> Any:
        target = self.rng.choice(self.targets)
        used = max([target, *(each.dtype for each in operands)], key=self.rank.index)
        if name == "fma":
            used = self.rank[min(self.rank.index(used) + 1, len(self.rank) - 1)]
        a = [cast(each, used) for each in operands]
        match name:
            case "add":
                result = a[0] + a[1]
            case "sub":
                result = a[0] - a[1]
            case "mul":
                result = a[0] * a[1]
            case "div":
                result = a[0] / a[1]
            case "sqrt":
                result = np.sqrt(a[0])
            case "fma":
                result = a[0] * a[1] + a[2]
            case _:
                raise ValueError(name)
        return cast(result, target)

    def negated(self, value: Any) -> Any:
        return -value


class Exact:
    """Single numbers as values: each operation exact, then rounded once to the storage format, a wider one or none."""

    def __init__(self, fmt: str, rng: random.Random) -> None:
        self.storage = ROUNDINGS[fmt]
        wider = [name for name in WIDER[fmt] if name in ROUNDINGS]
        self.targets = [ROUNDINGS[name] for name in (fmt, fmt, fmt, *wider, "exact")]
        self.rng = rng

    def value(self, number: Any) -> Any:
        return gmpy2.mpfr(float(number), 53)

    def scalar(self, exact: Fraction, double: float, single: bool) -> Any:
        if self.rng.random() < 0.3:
            return EXACT.div(gmpy2.mpz(exact.numerator), gmpy2.mpz(exact.denominator))
        return gmpy2.mpfr(float(np.float32(double)) if single else double, 53)

    def stored(self, value: Any) -> float:
        return float(self.storage.plus(value))

    def operate(self, name: str, *operands: Any) -> Any:
        result = (
            EXACT.add(EXACT.mul(operands[0], operands[1]), operands[2])
            if name == "fma"
            else getattr(EXACT, name)(*operands)
        )
        return self.rng.choice(self.targets).plus(result)

    def negated(self, value: Any) -> Any:
        return EXACT.minus(value)


@dataclass(frozen=True, eq=False)
class Scalar:
    """A hyperparameter, or 1 minus the hyperparameter ``of``: a real number, rounded anew wherever it is used."""

    exact: Fraction
    of: Scalar | None = None


class Implementer:
    """Draws the choices; scalars may be held in float32 with ``single``, and in the format ``narrow`` if there is one.

    With ``narrow``, 1 - alpha may be formed of the rounded alpha.
    """

    def __init__(
        self, backend: Vectors | Exact, rng: random.Random, *, single: bool, narrow: Format | None = None
    ) -> None:
        self.backend = backend
        self.rng = rng
        self.single = single
        self.narrow = narrow

    def number(self, value: Any) -> Number:
        return Number(self, (self.backend.value(value),))

    def scalar(self, value: float) -> Number:
        return Number(self, (Scalar(Fraction(value)),))

    def realized(self, atom: Any) -> Any:
        """The value of an atom; a scalar is rounded to float32 or to float64 here."""
        if not isinstance(atom, Scalar):
            return atom
        if self.narrow is not None and self.rng.random() < 0.5:
            rounded = self.narrow.round(float(atom.exact))
            if atom.of is not None and self.rng.random() < 0.7:
                rounded = self.narrow.round(1 - self.narrow.round(float(atom.of.exact)))
            return self.backend.scalar(Fraction(rounded), rounded, self.single)
        return self.backend.scalar(atom.exact, float(atom.exact), self.single and self.rng.random() < 0.5)

    def operate(self, name: str, *atoms: Any) -> Any:
        return self.backend.operate(name, *(self.realized(atom) for atom in atoms))

    def reduced(self, number: Number, *, to: int = 1) -> list[Any]:
        """The product evaluated in some order until ``to`` factors are left (one where it cannot stop at two)."""
        factors, divisors = list(number.factors), list(number.divisors)
        while divisors or len(factors) > to:
            actions = ["mul"] * (2 if len(factors) > 1 else 0) + ["div"] * (3 if divisors else 0)
            actions += ["reciprocal"] if divisors else []
            scalars = [k for k, each in enumerate(factors) if isinstance(each, Scalar) and each.exact != 0]
            actions += ["scale"] if divisors and scalars and len(factors) > 1 else []
            match self.rng.choice(actions):
                case "mul":
                    a = factors.pop(self.rng.randrange(len(factors)))
                    b = factors.pop(self.rng.randrange(len(factors)))
                    factors.append(self.operate("mul", a, b))
                case "div":
                    a = factors.pop(self.rng.randrange(len(factors)))
                    factors.append(self.operate("div", a, divisors.pop(self.rng.randrange(len(divisors)))))
                case "reciprocal":
                    one = Scalar(Fraction(1))
                    factors.append(self.operate("div", one, divisors.pop(self.rng.randrange(len(divisors)))))
                case "scale":
                    a = factors.pop(self.rng.choice(scalars))
                    divisors.append(self.operate("div", divisors.pop(self.rng.randrange(len(divisors))), a))
        return factors

    def value(self, number: Number) -> Any:
        return self.realized(self.reduced(number)[0])

    def sum(self, x: Number, y: Number) -> Number:
        mean = self._mean_of(x, y)
        if mean is not None:
            return Number(self, (mean,))
        if self.rng.random() < 0.3:
            x, y = y, x
        if len(y.factors) + len(y.divisors) > 1 and self.rng.random() < 0.4:
            left = self.reduced(y, to=2)
            if len(left) == 2:
                return Number(self, (self.operate("fma", *left, self.value(x)),))
            return Number(self, (self.operate("add", self.value(x), left[0]),))
        return Number(self, (self.operate("add", self.value(x), self.value(y)),))

    def _mean_of(self, x: Number, y: Number) -> Any | None:
        """a*x + (1-a)*y in one of its incremental forms, or None for the plain one."""
        if x.divisors or y.divisors:
            return None
        for complement in y.factors:
            a = complement.of if isinstance(complement, Scalar) else None
            if a is not None and any(each is a for each in x.factors):
                left = self.value(Number(self, tuple(each for each in x.factors if each is not a)))
                right = self.value(Number(self, tuple(each for each in y.factors if each is not complement)))
                form = self.rng.choice(["plain", "forward", "backward" if a.exact <= Fraction(1, 2) else "forward"])
                if form == "plain":
                    return None
                difference = self.operate("sub", right, left)
                if form == "forward":
                    weight, base = complement, left
                else:
                    weight, base, difference = a, right, self.backend.negated(difference)
                if self.rng.random() < 0.5:
                    return self.operate("fma", weight, difference, base)
                return self.operate("add", base, self.operate("mul", weight, difference))
        return None


class Number:
    """A product not yet evaluated: ``factors`` over ``divisors``, each a value or a ``Scalar``."""

    def __init__(self, by: Implementer, factors: tuple[Any, ...], divisors: tuple[Any, ...] = ()) -> None:
        self.by = by
        self.factors = factors
        self.divisors = divisors

    def __add__(self, other: Number) -> Number:
        return self.by.sum(self, other)

    def __sub__(self, other: Number) -> Number:
        return self.by.sum(self, -other)

    def __neg__(self) -> Number:
        first, *rest = self.factors
        negative = Scalar(-first.exact) if isinstance(first, Scalar) else self.by.backend.negated(first)
        return Number(self.by, (negative, *rest), self.divisors)

    def __mul__(self, other: Number) -> Number:
        if self is other and (self.divisors or len(self.factors) > 1):
            value = self.by.value(self)
            return Number(self.by, (value, value))
        return Number(self.by, self.factors + other.factors, self.divisors + other.divisors)

    def __truediv__(self, other: Number) -> Number:
        return Number(self.by, self.factors, (*self.divisors, self.by.value(other)))

    def __rsub__(self, one: int) -> Number:
        (atom,) = self.factors
        if isinstance(atom, Scalar) and atom.of is None:
            return Number(self.by, (Scalar(one - atom.exact, of=atom),))
        return Number(self.by, (self.by.operate("sub", Scalar(Fraction(one)), atom),))

    def sqrt(self) -> Number:
        return Number(self.by, (self.by.operate("sqrt", self.by.value(self)),))


def evaluated(
    elements: tuple[Any, Any, Any, Any, Any],
    fmt: Format,
    hyper: Hyperparameters,
    dialect: Dialect,
    rng: random.Random,
    *,
    exact: bool = False,
    storage: bool = False,
    t: int = 1,
) -> dict[str, Any]:
    """One step of (param, grad, square_avg, grad_avg, momentum_buffer) in a random legal evaluation, by role.

    Arrays of float64 with ``exact`` false, single floats with it true; rounded to the storage format in the end.
    With ``storage`` the hyperparameters may be held in the storage format, too.
    """
    name = fmt.part.name
    backend = Exact(name, rng) if exact else Vectors(name, rng)
    single = name != "float64" or dialect.scalars in ("float32", "float32-storage")
    by = Implementer(backend, rng, single=single, narrow=fmt.part if storage else None)
    symbols = Symbols(*(by.scalar(x) for x in (hyper.lr, hyper.alpha, hyper.eps, hyper.weight_decay, hyper.momentum)))

    def power(alpha: Number, n: int) -> Number:
        return Number(by, (by.realized(Scalar(Fraction(float(alpha.factors[0].exact) ** n))),))

    with np.errstate(all="ignore"):
        result = iterate(
            *(by.number(each) for each in elements),
            symbols,
            hyper=hyper,
            dialect=dialect,
            sqrt=Number.sqrt,
            power=power,
            t=t,
        )
        found = {
            "square_avg": result.v,
            "grad_avg": result.g_ave,
            "momentum_buffer": result.b,
            "param": result.theta,
        }
        return {role: backend.stored(by.value(number)) for role, number in found.items() if number is not None}
