"""The elementary functions give what they give in any SBCL on glibc, which Python asks here."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import run

PROGRAM = """
(defun bits (x)
  (logior (ash (ldb (byte 32 0) (sb-kernel:double-float-high-bits x)) 32) (sb-kernel:double-float-low-bits x)))
(defun positive-float (bits)
  (sb-kernel:make-double-float (ash bits -32) (ldb (byte 32 0) bits)))
(defun main ()
  (let ((*read-base* 16))
    (loop for x = (read *standard-input* nil)
          for y = (read *standard-input* nil)
          while y
          do (let ((x (positive-float x)) (y (positive-float y)))
               (format t "~{~d~^ ~}~%"
                       (mapcar #'bits (list (sin x) (cos x) (abs (complex x y)) (exp (/ x 10)) (log y))))))))
"""


def bits(x: float) -> int:
    import struct

    value: int = struct.unpack("<Q", struct.pack("<d", x))[0]
    return value


@pytest.mark.parametrize("reach", [0.7, 100.0])
def test_rounded_as_glibc_does(built: Callable[..., Path], reach: float) -> None:
    chance = random.Random(7)
    points = [(chance.uniform(0, reach), chance.uniform(1e-3, 50)) for _ in range(4000)]
    lines = "".join(f"{bits(x):x} {bits(y):x}\n" for x, y in points)
    done = run([built(PROGRAM)], stdin=lines.encode())
    assert done.code == 0, done.err
    names = ("sin", "cos", "hypot", "exp", "log")
    wrong = dict.fromkeys(names, 0)
    for (x, y), line in zip(points, done.out.splitlines(), strict=True):
        expected = (math.sin(x), math.cos(x), math.hypot(x, y), math.exp(x / 10), math.log(y))
        for name, ours, theirs in zip(names, map(int, line.split()), map(bits, expected), strict=True):
            assert abs(ours - theirs) <= 1, (name, x, y)
            wrong[name] += ours != theirs
    # musl's own: 120 of sin and cos, 520 of hypot.
    assert max(wrong.values()) <= 24, wrong


def test_no_number_at_all(built: Callable[..., Path]) -> None:
    """hypot of what is no number is no number, and no trap."""
    nan = '(sb-kernel:make-double-float #x7ff80000 (parse-integer "0"))'
    text = f"(defun main () (print (sb-ext:float-nan-p (abs (complex {nan} 1d0)))))"
    assert run([built(text)]).out == "\nT "
