;;;; What heap.py has to know of this SBCL to read its heaps: one JSON object. The keys are those of heap.Shape.

(defpackage #:monolisp-shape
  (:use #:common-lisp))

(in-package #:monolisp-shape)

(defun slot-index (structure name)
  (sb-kernel:dsd-index (find name (sb-kernel:dd-slots (sb-kernel:find-defstruct-description structure))
                             :key (lambda (slot) (symbol-name (sb-kernel:dsd-name slot))) :test #'string=)))

(defun tags ()
  "What the lowest octet of an object's first word says: (number . name), of objects only."
  (let ((found '()))
    (do-symbols (symbol "SB-VM" found)
      (let* ((name (symbol-name symbol)) (end (search "-WIDETAG" name)))
        (when (and end (boundp symbol) (= (+ end 8) (length name)) (integerp (symbol-value symbol))
                   (not (find (subseq name 0 end) '("UNBOUND-MARKER" "CHARACTER" "SINGLE-FLOAT") :test #'string=)))
          (pushnew (cons (symbol-value symbol) (string-downcase (subseq name 0 end))) found :key #'car))))))

(defun vectors ()
  "Vectors: number, bits of an element, how many more elements there are than the length says."
  (loop for type across sb-vm:*specialized-array-element-type-properties*
        collect (list (sb-vm:saetp-typecode type) (sb-vm:saetp-n-bits type) (sb-vm:saetp-n-pad-elements type))))

(defun show (out)
  (format out "{\"tags\": {~{\"~a\": \"~a\"~^, ~}}, \"vectors\": {~{\"~a\": [~a, ~a]~^, ~}}"
          (loop for (number . name) in (tags) collect number collect name)
          (reduce #'append (vectors)))
  (loop for (name value) in
        `(("list" ,sb-vm:list-pointer-lowtag) ("other" ,sb-vm:other-pointer-lowtag)
          ("function" ,sb-vm:fun-pointer-lowtag) ("instance" ,sb-vm:instance-pointer-lowtag)
          ("fixnum" ,sb-vm:n-fixnum-tag-bits) ("length_shift" ,sb-vm:instance-length-shift)
          ("compact" ,(if (find :compact-instance-header sb-impl:+internal-features+) 1 0))
          ("symbol_size" ,sb-vm:symbol-size) ("symbol_name" ,sb-vm:symbol-name-slot) ("fdefn_name" ,sb-vm:fdefn-name-slot)
          ("debug_info" ,sb-vm:code-debug-info-slot)
          ("data_start" ,sb-vm:instance-slots-offset)
          ("layout_class" ,(slot-index 'sb-kernel::layout "CLASSOID"))
          ("class_name" ,(slot-index 'sb-kernel:classoid "NAME"))
          ("info_name" ,(slot-index 'sb-c::compiled-debug-info "NAME"))
          ("info_source" ,(slot-index 'sb-c::compiled-debug-info "SOURCE"))
          ("location_file" ,(slot-index 'sb-c::definition-source-location "NAMESTRING"))
          ("source_file" ,(slot-index 'sb-c::debug-source "NAMESTRING")))
        do (format out ", \"~a\": ~a" name value))
  (format out "}~%"))

(show *standard-output*)
