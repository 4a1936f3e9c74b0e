"""libpq inside, against a real PostgreSQL that the test starts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import needs_postgres, run

pytestmark = [pytest.mark.slow, needs_postgres]

QUERY = """
(sb-alien:load-shared-object "libpq.so.5")
(defmacro define-pq (name result &rest arguments)
  `(sb-alien:define-alien-routine ,name ,result ,@arguments))
(define-pq ("PQconnectdb" connect) sb-sys:system-area-pointer (settings sb-alien:c-string))
(define-pq ("PQstatus" status) sb-alien:int (connection sb-sys:system-area-pointer))
(define-pq ("PQerrorMessage" message) sb-alien:c-string (connection sb-sys:system-area-pointer))
(define-pq ("PQexec" query) sb-sys:system-area-pointer
  (connection sb-sys:system-area-pointer) (sql sb-alien:c-string))
(define-pq ("PQresultStatus" result-status) sb-alien:int (result sb-sys:system-area-pointer))
(define-pq ("PQntuples" rows) sb-alien:int (result sb-sys:system-area-pointer))
(define-pq ("PQgetvalue" value) sb-alien:c-string
  (result sb-sys:system-area-pointer) (row sb-alien:int) (column sb-alien:int))
(define-pq ("PQclear" clear) sb-alien:void (result sb-sys:system-area-pointer))
(define-pq ("PQfinish" finish) sb-alien:void (connection sb-sys:system-area-pointer))
(define-pq ("PQsslInUse" encrypted) sb-alien:int (connection sb-sys:system-area-pointer))
(defun main (arguments)
  (let ((connection (connect (first arguments))))
    (unless (zerop (status connection))
      (format t "~a" (message connection))
      (sb-ext:exit :code 3 :abort t))
    (format t "encrypted ~d~%" (encrypted connection))
    (flet ((run (sql)
             (let ((result (query connection sql)))
               (unless (member (result-status result) '(1 2)) (error (message connection)))
               (prog1 (when (plusp (rows result)) (value result 0 0))
                 (clear result)))))
      (run "create temporary table numbers (n integer, name text)")
      (run "insert into numbers select n, 'number ' || n || ' é' from generate_series(1, 10000) n")
      (format t "~a~%" (run "select sum(n) from numbers"))
      (format t "~a~%" (run "select name from numbers where n = 77")))
    (finish connection)))
"""


def test_queries(built: Callable[..., Path], cluster: Path) -> None:
    program = built(QUERY)
    expected = "50005000\nnumber 77 é\n"
    person = "user=lisp password=secret dbname=postgres port=54329"
    for where, encrypted in (("127.0.0.1 sslmode=require", 1), (str(cluster), 0)):
        done = run([program, f"host={where} {person}"])
        assert (done.code, done.out) == (0, f"encrypted {encrypted}\n{expected}"), done.err
    wrong = run([program, "host=127.0.0.1 user=lisp password=wrong dbname=postgres port=54329"])
    assert wrong.code == 3
    assert "password authentication failed" in wrong.out
