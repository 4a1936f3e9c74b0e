;;; Proves that SQLite works: a database in memory, with full-text search.

(sb-alien:load-shared-object "libsqlite3.so.0")

(defun check (what got expected)
  (unless (equalp got expected)
    (error "~a: ~s instead of ~s" what got expected)))

(sb-alien:define-alien-routine "sqlite3_open" sb-alien:int
  (path sb-alien:c-string) (database sb-sys:system-area-pointer :out))

(sb-alien:define-alien-routine "sqlite3_close" sb-alien:int (database sb-sys:system-area-pointer))
(sb-alien:define-alien-routine "sqlite3_errmsg" sb-alien:c-string (database sb-sys:system-area-pointer))

(sb-alien:define-alien-routine "sqlite3_prepare_v2" sb-alien:int
  (database sb-sys:system-area-pointer) (sql sb-alien:c-string) (size sb-alien:int)
  (statement sb-sys:system-area-pointer :out) (rest sb-sys:system-area-pointer :out))

(sb-alien:define-alien-routine "sqlite3_step" sb-alien:int (statement sb-sys:system-area-pointer))
(sb-alien:define-alien-routine "sqlite3_finalize" sb-alien:int (statement sb-sys:system-area-pointer))
(sb-alien:define-alien-routine "sqlite3_column_count" sb-alien:int (statement sb-sys:system-area-pointer))

(sb-alien:define-alien-routine "sqlite3_column_text" sb-alien:c-string
  (statement sb-sys:system-area-pointer) (column sb-alien:int))

(defconstant +row+ 100)

(defun query (database sql)
  "Every row that SQL yields, a list of strings."
  (multiple-value-bind (status statement) (sqlite3-prepare-v2 database sql -1)
    (unless (zerop status)
      (error "~a: ~a" sql (sqlite3-errmsg database)))
    (prog1 (loop while (= +row+ (sqlite3-step statement))
                 collect (loop for column below (sqlite3-column-count statement)
                               collect (sqlite3-column-text statement column)))
      (sqlite3-finalize statement))))

(defun main ()
  (multiple-value-bind (status database) (sqlite3-open ":memory:")
    (check "sqlite3_open" status 0)
    (query database "create table squares (n integer primary key, square integer)")
    (query database "with recursive count(n) as (select 1 union all select n + 1 from count where n < 1000)
                     insert into squares select n, n * n from count")
    (check "a sum" (query database "select count(*), sum(square) from squares") '(("1000" "333833500")))
    (query database "create virtual table texts using fts5(text)")
    (query database "insert into texts values ('a stitch in time'), ('time and tide'), ('all that glitters')")
    (check "full-text search" (query database "select text from texts where texts match 'tide'") '(("time and tide")))
    (check "a function" (query database "select round(sqrt(2), 6)") '(("1.414214")))
    (check "sqlite3_close" (sqlite3-close database) 0))
  (format t "sqlite ok~%"))
