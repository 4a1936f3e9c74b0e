;;; libpq: connection strings, escaping, encrypted passwords, results made by hand, and a server that is not there.

(use-package :sb-alien)
(load-shared-object "libpq.so.5")

(define-alien-type nil
  (struct option
          (keyword c-string) (environment c-string) (compiled c-string) (value c-string)
          (label c-string) (display c-string) (size int)))

(define-alien-routine ("PQlibVersion" library-version) int)
(define-alien-routine ("PQconninfoParse" parse-conninfo) (* (struct option)) (text c-string) (fault (* c-string)))
(define-alien-routine ("PQconnectdb" connect) system-area-pointer (conninfo c-string))
(define-alien-routine ("PQstatus" status) int (connection system-area-pointer))
(define-alien-routine ("PQerrorMessage" error-message) c-string (connection system-area-pointer))
(define-alien-routine ("PQfinish" finish) void (connection system-area-pointer))
(define-alien-routine ("PQescapeString" escape-string) unsigned-long
  (to (* char)) (from c-string) (length unsigned-long))
(define-alien-routine ("PQescapeBytea" escape-bytea) c-string
  (from c-string) (length unsigned-long) (result-length (* unsigned-long)))
(define-alien-routine ("PQencryptPassword" encrypt-password) c-string (word c-string) (user c-string))
(define-alien-routine ("PQmakeEmptyPGresult" make-result) system-area-pointer
  (connection system-area-pointer) (status int))
(define-alien-routine ("PQcopyResult" copy-result) system-area-pointer (result system-area-pointer) (flags int))
(define-alien-routine ("PQresultStatus" result-status) int (result system-area-pointer))
(define-alien-routine ("PQresStatus" status-name) c-string (status int))
(define-alien-routine ("PQclear" clear) void (result system-area-pointer))
(define-alien-routine ("PQisthreadsafe" threadsafe-p) int)
(define-alien-routine ("PQsslAttribute" ssl-attribute) c-string (connection system-area-pointer) (name c-string))

(defconstant +bad+ 1)
(defconstant +tuples+ 2)

(defun options (conninfo)
  "The options that a connection string sets, as a list of (name value)."
  (let* ((fault (make-alien c-string))
         (found (parse-conninfo conninfo fault)))
    (unless (null-alien found)
      (loop for i from 0
            for name = (slot (deref found i) 'keyword)
            while name
            when (slot (deref found i) 'value)
              collect (list name (slot (deref found i) 'value))))))

(defun option (name conninfo)
  (second (assoc name (options conninfo) :test #'string=)))

(defun check-strings ()
  (let ((uri "postgresql://ann@db.example.org:5433/stock?sslmode=require"))
    (assert (string= "db.example.org" (option "host" uri)))
    (assert (string= "5433" (option "port" uri)))
    (assert (string= "ann" (option "user" uri)))
    (assert (string= "require" (option "sslmode" uri))))
  (assert (string= "a b" (option "dbname" "host=/tmp dbname='a b'")))
  (assert (null (options "host=/tmp nonsense=1"))))

(defun check-escapes ()
  (let ((room (make-alien char 40)))
    (assert (= 11 (escape-string room "it's 'x'" 8)))
    (assert (string= "it''s ''x''" (cast room c-string))))
  (let ((size (make-alien unsigned-long)))
    (assert (string= "\\\\001a" (escape-bytea (format nil "~Ca" (code-char 1)) 2 size))))
  ;; md5 of the word followed by the user's name.
  (assert (string= "md59d792a3a8853c2411afb9163d088c036" (encrypt-password "secret" "ann"))))

(defun check-results ()
  (let* ((result (make-result (sb-sys:int-sap 0) +tuples+))
         (copy (copy-result result 0)))
    (assert (= +tuples+ (result-status copy)))
    (assert (string= "PGRES_TUPLES_OK" (status-name (result-status copy))))
    (clear copy)
    (clear result)))

(defun check-connection ()
  (let ((connection (connect "host=/not/there user=ann dbname=stock")))
    (assert (= +bad+ (status connection)))
    (assert (search "/not/there/.s.PGSQL.5432" (error-message connection)))
    (finish connection)))

(defun main ()
  (assert (<= 150000 (library-version)))
  (assert (= 1 (threadsafe-p)))
  (assert (string= "OpenSSL" (ssl-attribute (sb-sys:int-sap 0) "library")))
  (check-strings)
  (check-escapes)
  (check-results)
  (check-connection)
  (format t "libpq ok~%"))
