;;; Proves that LMDB works: what one transaction writes, the next environment reads.

(sb-alien:load-shared-object "liblmdb.so.0")

(defun check (what got expected)
  (unless (equalp got expected)
    (error "~a: ~s instead of ~s" what got expected)))

(sb-alien:define-alien-routine "mdb_env_create" sb-alien:int (environment sb-sys:system-area-pointer :out))
(sb-alien:define-alien-routine "mdb_env_close" sb-alien:void (environment sb-sys:system-area-pointer))

(sb-alien:define-alien-routine "mdb_env_set_mapsize" sb-alien:int
  (environment sb-sys:system-area-pointer) (size sb-alien:unsigned-long))

(sb-alien:define-alien-routine "mdb_env_open" sb-alien:int
  (environment sb-sys:system-area-pointer) (path sb-alien:c-string) (flags sb-alien:unsigned-int)
  (mode sb-alien:unsigned-int))

(sb-alien:define-alien-routine "mdb_txn_begin" sb-alien:int
  (environment sb-sys:system-area-pointer) (parent sb-sys:system-area-pointer) (flags sb-alien:unsigned-int)
  (transaction sb-sys:system-area-pointer :out))

(sb-alien:define-alien-routine "mdb_txn_commit" sb-alien:int (transaction sb-sys:system-area-pointer))
(sb-alien:define-alien-routine "mdb_txn_abort" sb-alien:void (transaction sb-sys:system-area-pointer))

(sb-alien:define-alien-routine "mdb_dbi_open" sb-alien:int
  (transaction sb-sys:system-area-pointer) (name sb-sys:system-area-pointer) (flags sb-alien:unsigned-int)
  (database sb-alien:unsigned-int :out))

(sb-alien:define-alien-type mdb-value (sb-alien:struct mdb-value (size sb-alien:unsigned-long)
                                                       (data sb-sys:system-area-pointer)))

(sb-alien:define-alien-routine "mdb_put" sb-alien:int
  (transaction sb-sys:system-area-pointer) (database sb-alien:unsigned-int)
  (key (* mdb-value)) (data (* mdb-value)) (flags sb-alien:unsigned-int))

(sb-alien:define-alien-routine "mdb_get" sb-alien:int
  (transaction sb-sys:system-area-pointer) (database sb-alien:unsigned-int)
  (key (* mdb-value)) (data (* mdb-value)))

(defconstant +read-only+ #x20000)
(defconstant +not-found+ -30798)
(defparameter *folder* "recipe-lmdb/")

(defun value (text)
  (let ((value (sb-alien:make-alien mdb-value)))
    (setf (sb-alien:slot value 'size) (length text)
          (sb-alien:slot value 'data) (sb-alien:alien-sap (sb-alien:make-alien-string text)))
    value))

(defun text (value)
  (let ((data (sb-alien:slot value 'data)))
    (coerce (loop for i below (sb-alien:slot value 'size) collect (code-char (sb-sys:sap-ref-8 data i))) 'string)))

(defun call-with-transaction (flags function)
  "Open the database, and call FUNCTION with a transaction and a database."
  (multiple-value-bind (status environment) (mdb-env-create)
    (check "mdb_env_create" status 0)
    (check "mdb_env_set_mapsize" (mdb-env-set-mapsize environment 10485760) 0)
    (check "mdb_env_open" (mdb-env-open environment *folder* 0 #o644) 0)
    (multiple-value-bind (status transaction) (mdb-txn-begin environment (sb-sys:int-sap 0) flags)
      (check "mdb_txn_begin" status 0)
      (multiple-value-bind (status database) (mdb-dbi-open transaction (sb-sys:int-sap 0) 0)
        (check "mdb_dbi_open" status 0)
        (funcall function transaction database)))
    (mdb-env-close environment)))

(defun main ()
  (let ((place (merge-pathnames *folder*)))
    (ensure-directories-exist place)
    (unwind-protect
         (progn
           (call-with-transaction
            0 (lambda (transaction database)
                (dotimes (i 1000)
                  (check "mdb_put"
                         (mdb-put transaction database
                                  (value (format nil "key ~d" i)) (value (format nil "~r" i)) 0)
                         0))
                (check "mdb_txn_commit" (mdb-txn-commit transaction) 0)))
           (call-with-transaction
            +read-only+ (lambda (transaction database)
                          (let ((found (value "")))
                            (check "mdb_get" (mdb-get transaction database (value "key 777") found) 0)
                            (check "the value" (text found) "seven hundred seventy-seven")
                            (check "a missing key" (mdb-get transaction database (value "key 1000") found)
                                   +not-found+))
                          (mdb-txn-abort transaction))))
      (sb-ext:delete-directory place :recursive t))
    (format t "lmdb ok~%")))
