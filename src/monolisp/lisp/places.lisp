;;;; Build side: a core says where definitions were in files. It is to say so by names, not by directories of the machine
;;;; on which it was made. What a program keeps of paths itself stays as it is.

(in-package #:monolisp-seal)

(defvar *places* '() "Directory → what it is called instead: (\"/home/me/app/\" . \"app/\").")

(defun call-place (directory name)
  (push (cons directory name) *places*))

(defun renamed (file)
  "FILE, a namestring, by the nearest directory that has a name; else without its directory."
  (let ((best nil))
    (loop for place in *places*
          for directory = (car place)
          do (when (and (< (length directory) (length file)) (string= directory file :end2 (length directory))
                        (or (null best) (> (length directory) (length (car best)))))
               (setf best place)))
    (if best
        (concatenate 'string (cdr best) (subseq file (length (car best))))
        (subseq file (1+ (position #\/ file :from-end t))))))

(defun absolute-p (file)
  (and (stringp file) (plusp (length file)) (char= (char file 0) #\/)))

(defmacro rename-slot (place)
  `(when (absolute-p ,place) (setf ,place (renamed ,place))))

(defmacro namestring-of (object structure)
  `(sb-kernel::%instance-ref ,object (load-time-value (index-of ',structure "NAMESTRING"))))

(defun rename-place (object)
  "OBJECT may be a place in a file, or the end of a function's name, which tells the file that it is in."
  (typecase object
    (cons (when (and (eq (car object) :in) (consp (cdr object)))
            (rename-slot (cadr object))))
    (sb-c::debug-source (rename-slot (namestring-of object sb-c::debug-source)))
    (sb-c::definition-source-location (rename-slot (namestring-of object sb-c::definition-source-location)))))
