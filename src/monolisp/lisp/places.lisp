;;;; Build side: a core says where definitions were in files. It is to say so by names, not by directories of the machine
;;;; on which it was made, and not by when the files were written. What a program keeps of paths itself stays as it is.

(in-package #:monolisp-seal)

(defvar *places* '()
  "Directory → what it is called instead: (\"/home/me/app/\" . \"app/\"); NIL where what is below it is as if below the root.")
(defvar *names* nil "A table: file → what it is called instead.")
(defvar *tails* '() "Conses that may be the ends of functions' names: (:in \"/home/me/app/app.lisp\").")

(defun call-place (place name)
  "PLACE is a directory or a file."
  (if (char= (char place (1- (length place))) #\/)
      (pushnew (cons place name) *places* :test #'equal)
      (setf (gethash place (names)) (literal name))))

(defun names ()
  (or *names* (setf *names* (make-hash-table :test 'equal))))

(defun literal (text)
  "TEXT as a string like those in compiled files, of which a core keeps one where several say the same."
  (sb-impl::logically-readonlyize
   (if (every (lambda (char) (typep char 'base-char)) text)
       (coerce text 'simple-base-string)
       (coerce text '(simple-array character (*))))))

(defun below-p (directory file)
  (let ((length (length directory)))
    (and (< length (length file)) (string= directory file :end2 length))))

(defun place-of (file)
  "The nearest directory of FILE that has a name, with that name."
  (let ((best nil))
    (dolist (place *places* best)
      (when (and (below-p (car place) file)
                 (or (null best) (> (length (car place)) (length (car best)))))
        (setf best place)))))

(defun renamed (file)
  "FILE, a namestring, by what it or the nearest directory is called; else without its directory."
  (let ((place (place-of file)))
    (cond ((gethash file (names)))
          ((null place) (subseq file (1+ (position #\/ file :from-end t))))
          ((cdr place) (concatenate 'string (cdr place) (subseq file (length (car place)))))
          (t (renamed (subseq file (1- (length (car place)))))))))

(defun name-of (file)
  "What FILE is called, the same string each time."
  (or (gethash file (names))
      (setf (gethash file (names)) (literal (renamed file)))))

(defun absolute-p (file)
  (and (stringp file) (plusp (length file)) (char= (char file 0) #\/)))

(defmacro namestring-of (object structure)
  `(sb-kernel::%instance-ref ,object (load-time-value (index-of ',structure "NAMESTRING"))))

(defun rename-place (object)
  "OBJECT may be a place in a file, or the end of a function's name, which tells the file that it is in."
  (typecase object
    (cons (when (and (eq (car object) :in) (consp (cdr object)) (null (cddr object)) (absolute-p (cadr object)))
            (push object *tails*)))
    (sb-c::debug-source
     (when (absolute-p (sb-c::debug-source-namestring object))
       (setf (namestring-of object sb-c::debug-source) (name-of (sb-c::debug-source-namestring object))
             (sb-c::debug-source-created object) nil)))
    (sb-c::definition-source-location
     (when (absolute-p (sb-c::definition-source-location-namestring object))
       (setf (namestring-of object sb-c::definition-source-location)
             (name-of (sb-c::definition-source-location-namestring object)))))))

(defun named-p (file)
  "Whether FILE is where something was defined, or what SBCL makes functions for while it loads it. Another list that says
:IN and a path is the program's own."
  (flet ((ends-in (type)
           (let ((start (- (length file) (length type))))
             (and (plusp start) (string= type file :start2 start)))))
    (or (gethash file (names)) (ends-in ".fasl") (ends-in ".asd"))))

(defun rename-tails ()
  "Once all places have their names."
  (dolist (tail (shiftf *tails* '()))
    (when (named-p (cadr tail)) (setf (cadr tail) (name-of (cadr tail))))))

(defun forget-names ()
  (setf *places* '() *names* nil))

(defun rename-places ()
  "For an SBCL that is not sealed."
  (sb-vm::map-allocated-objects
   (lambda (object type size)
     (declare (ignore size))
     (when (or (= type sb-vm::instance-widetag) (consp object)) (rename-place object)))
   :dynamic)
  (rename-tails)
  (forget-names))
