;;;; Build side: what SBCL draws by lot is made to depend on names and contents only, so that the same program gives the
;;;; same core. Symbols and types have files of their own.
;;;;
;;;; SBCL mixes addresses into the hashes of symbols and types, and counts what its collector does. Where objects lie
;;;; while a program is loaded depends on the lengths of paths and on threads; where they lie in a core does not. Source:
;;;; SBCL src/code/symbol.lisp (%MAKE-SYMBOL), type-class.lisp, hashset.lisp, save.lisp (DEINIT), 2.4.6 to 2.6.7. Older
;;;; ones have not all of these functions, and their cores are not the same each time.

(in-package #:monolisp-seal)

;;; Generic functions

(defvar *made* 0 "How many generic functions and their like were made.")

(defun counted (function &rest arguments)
  "The generic function that FUNCTION makes, with a hash by how many came before it."
  (let ((made (apply function arguments)))
    (set-drawn-hash made (sb-int::murmur-hash-word/fixnum (incf *made*)))
    made))

(defun forget-state ()
  "What the next hash would have been drawn from is a constant of the function that draws it."
  (let ((code (sb-kernel::fun-code-header #'sb-pcl::allocate-standard-funcallable-instance)))
    (loop for index from sb-vm::code-constants-offset below (sb-kernel::code-header-words code)
          for constant = (sb-kernel::code-header-ref code index)
          do (when (typep constant '(simple-array (unsigned-byte 62) (1)))
               (setf (aref constant 0) 0)))))

;;; Types: those that were made before types.lisp was there, and what hashes by them

(defun drawn-p (object)
  "Whether OBJECT came with this program; what SBCL's own core holds is the same everywhere."
  (/= (sb-kernel::generation-of object) sb-vm::+pseudo-static-generation+))

(defun number-again (type)
  "Take the drawn bits of TYPE's hash from what it is made of. Returns true if they were others."
  (when (and (typep type 'sb-kernel::ctype) (not (typep type 'sb-kernel::classoid)) (drawn-p type))
    (let ((before (type-bits type)))
      (setf (drawn-bits (type-bits type)) (drawn-bits (draw type)))
      (/= before (type-bits type)))))

(defun hashsets ()
  (mapcar #'symbol-value
          (list* 'sb-kernel::*key-info-hashset* 'sb-kernel::*key-info-set-hashset*
                 'sb-impl::*pn-dir-table* 'sb-impl::*pn-table*
                 'sb-kernel::*ctype-list-hashset* 'sb-kernel::*ctype-set-hashset* sb-kernel::*ctype-hashsets*)))

(defun members (hashset)
  (let ((found '()))
    (sb-impl::map-hashset (lambda (member) (push member found)) hashset)
    found))

(defun refill (hashset members)
  "Put MEMBERS in anew, in the order of their hashes; those of one hash in that of what is in them."
  (let* ((hash (sb-impl::hashset-hash-function hashset))
         (keyed (mapcar (lambda (member) (cons (funcall hash member) member)) members))
         (capacity (max 64 (sb-int::power-of-two-ceiling (* 2 (length members))))))
    (setf (sb-impl::hashset-storage hashset)
          (sb-impl::allocate-hashset-storage capacity (sb-impl::hashset-weakp hashset)))
    (loop for (nil . member) in (sort keyed #'before-p)
          do (sb-impl::hashset-insert hashset member))))

(defun before-p (one other)
  (if (= (car one) (car other))
      (< (look-hash (cdr one)) (look-hash (cdr other)))
      (< (car one) (car other))))

(defun look-hash (object)
  "A hash of what OBJECT is and of what is in its slots."
  (content-hash (cons (type-of object)
                      (if (typep object '(or structure-object standard-object condition)) (slot-values object) object))))

(defun eql-types ()
  (loop for type being the hash-values of sb-kernel::*eql-type-cache* collect type))

(defun seal-types ()
  "Types are made of other types: until none changes any more."
  (let ((all (mapcar (lambda (hashset) (cons hashset (members hashset))) (hashsets)))
        (others (eql-types)))
    (loop repeat 20
          while (loop with changed = nil
                      for (nil . members) in (acons nil others all)
                      do (dolist (member members)
                           (when (number-again member) (setf changed t)))
                      finally (return changed)))
    (loop for (hashset . members) in all
          do (refill hashset members))
    (setf (aref sb-kernel::*ctype-hash-state* 0) 1)))

;;; Instances that were hashed: SBCL took their addresses, and keeps them behind the slots

(defun hashed-p (object)
  (and (typep object '(or structure-object standard-object condition))
       (logbitp sb-vm::hash-slot-present-flag (sb-kernel::instance-header-word object))))

(defun hash-again (instances)
  "Give each a hash by its class and what is in it, and by how many that look the same came before."
  (let ((alike (make-hash-table)))
    (dolist (instance instances)
      (let ((key (look-hash instance)))
        (setf (sb-kernel::%instance-ref instance (sb-kernel::%instance-length instance))
              (sb-int::mix key (incf (gethash key alike 0))))))))

(defun holds-hashed-p (key depth)
  "Whether the hash of KEY, by EQUAL or EQUALP, is made of such an instance's."
  (typecase key
    (cons (and (plusp depth)
               (or (holds-hashed-p (car key) (1- depth)) (holds-hashed-p (cdr key) (1- depth)))))
    (sb-kernel::instance (hashed-p key))))

(defun fill-again (table)
  "The same pairs in the same order."
  (let ((pairs (loop for key being the hash-keys of table using (hash-value value)
                     collect (cons key value))))
    (clrhash table)
    (loop for (key . value) in pairs
          do (setf (gethash key table) value))))

(defun keyed-by-hashed-p (table)
  (and (not (member (hash-table-test table) '(eq eql)))
       (loop for key being the hash-keys of table
               thereis (holds-hashed-p key 5))))

(defun forget-last-key (table)
  "A table remembers where its last key was; below that it remembers how large it is to become."
  (when (plusp (sb-impl::hash-table-cache table))
    (setf (sb-impl::hash-table-cache table) 0)))

(defun by-address-p (pairs)
  (logtest (ash sb-vm::vector-addr-hashing-flag sb-vm::array-flags-data-position)
           (sb-kernel::get-header-data pairs)))

(defun forget-addresses (table)
  "A table of keys that are hashed by their addresses finds none of them after saving, and is made anew at its first use.
Until then nothing is in its chains but the cells that are free."
  (let ((pairs (sb-impl::hash-table-pairs table)) (next (sb-impl::hash-table-next-vector table)))
    (when (by-address-p pairs)
      (setf (svref pairs 1) 1)
      (fill (sb-impl::hash-table-index-vector table) 0)
      (loop for index from 1 below (length next)
            unless (= (sb-kernel::get-lisp-obj-address (svref pairs (* 2 index))) sb-vm::unbound-marker-widetag)
              do (setf (aref next index) 0)))))

(defun forget-buffers (stream)
  "What holds a stream of this process, as UIOP's *STDIN* does, holds its buffers in C's memory. SBCL gives them all one
address when it saves, another each time (src/runtime/stringspace.c, NUKE_FD_STREAM_BUFFER)."
  (dolist (slot (sb-kernel::dd-slots (sb-kernel::find-defstruct-description 'sb-sys:fd-stream)))
    (when (and (eq (sb-kernel::dsd-raw-type slot) t)
               (typep (sb-kernel::%instance-ref stream (sb-kernel::dsd-index slot)) 'sb-impl::buffer))
      (setf (sb-kernel::%instance-ref stream (sb-kernel::dsd-index slot)) nil))))

(defun whole-class-p (object)
  "Whether OBJECT is a class, and not the prototype of one, which has nothing in its slots."
  ;; A call of SLOT-BOUNDP that is compiled makes a generic function.
  (declare (notinline slot-boundp))
  (and (typep object 'class) (slot-boundp object 'sb-pcl::plist)))

(defun survey ()
  "Rename the places of definitions; the hashed instances of the program, the tables that have such in their keys,
the classes, and the weak tables."
  (let ((instances '()) (tables '()) (classes '()) (weak '()))
    (sb-vm::map-allocated-objects
     (lambda (object type size)
       (declare (ignore size))
       (cond ((= type sb-vm::instance-widetag)
              (rename-place object)
              (when (typep object 'sb-sys:fd-stream) (forget-buffers object))
              (when (typep object 'sb-kernel::standard-classoid) (forget-old-layouts object))
              (when (whole-class-p object) (push object classes))
              (when (hash-table-p object)
                (forget-last-key object)
                (when (sb-ext:hash-table-weakness object) (push object weak))
                (if (keyed-by-hashed-p object) (push object tables) (forget-addresses object)))
              (when (and (hashed-p object) (drawn-p object)) (push object instances)))
             ((consp object) (rename-place object))))
     :dynamic)
    (rename-tails)
    (forget-names)
    (values (nreverse instances) tables classes weak)))

(defun seal-instances ()
  (multiple-value-bind (instances tables classes weak) (survey)
    (hash-again instances)
    (mapc #'fill-again tables)
    (mapc #'seal-constructors classes)
    (fill-in-order sb-kernel::*eql-type-cache*)
    (fill-in-order sb-pcl::*all-ctors*)
    (hold-living weak)))

;;; Tables beside them

(defun seal-members ()
  "What is a member of types that name members, and hashes by its address, got a number by lot."
  (loop for cell being the hash-values of sb-kernel::*xset-stable-hashes* using (hash-key member)
        do (setf (cdr cell) (ldb (byte 22 3) (content-hash member)))))

;;; Weak tables, and weak pointers: without the marks of those that are gone

(defun living (pointers)
  (remove nil pointers :key #'sb-ext:weak-pointer-value))

(defun forget-old-layouts (classoid)
  (setf (sb-kernel::standard-classoid-old-layouts classoid)
        (living (sb-kernel::standard-classoid-old-layouts classoid))))

(defun fill-in-order (table)
  "The same pairs in the order of what their keys say, and nothing of what else there was."
  (let ((entries (loop for value being the hash-values of table using (hash-key key)
                       collect (list (content-hash key) key value))))
    (clrhash table)
    ;; CLRHASH leaves there what was.
    (fill (sb-impl::hash-table-next-vector table) 0)
    (when (sb-impl::hash-table-hash-vector table)
      (fill (sb-impl::hash-table-hash-vector table) 0 :start 1))
    (loop for (nil key value) in (sort entries #'< :key #'first)
          do (setf (gethash key table) value))))

(defun hold-living (tables)
  "What only weak tables hold, the collector comes upon by address, so it lies in another order in each core. What SBCL
saves is never collected again, so to hold it costs nothing but this list; a symbol of ours would be gone."
  (setf (get 'sb-ext:save-lisp-and-die :living)
        (loop for table in tables
              collect (loop for value being the hash-values of table using (hash-key key)
                            collect key collect value))))

(defun seal-finalizers ()
  "SBCL saves them in the order of their objects' addresses before the last collections; those of objects that are gone it
never calls. What looks the same comes in the order of addresses after a collection."
  (when (boundp 'sb-impl::*saved-finalizers*)
    (flet ((object (entry) (sb-ext:weak-pointer-value (car entry))))
      (let ((living (remove nil (symbol-value 'sb-impl::*saved-finalizers*) :key #'object)))
        (setf living (sort living #'< :key (lambda (entry) (sb-kernel:get-lisp-obj-address (object entry))))
              (symbol-value 'sb-impl::*saved-finalizers*)
              (stable-sort living #'< :key (lambda (entry) (look-hash (object entry)))))))))

(defun constructor-hash (constructor)
  (content-hash (list (sb-pcl::ctor-class-or-name constructor) (sb-pcl::ctor-type constructor)
                      (sb-pcl::ctor-initargs constructor))))

(defun seal-constructors (class)
  "What a class knows of the functions that make instances of it."
  (let ((pointers (sb-pcl::plist-value class 'sb-pcl::ctors)))
    (when pointers
      (setf (sb-pcl::plist-value class 'sb-pcl::ctors)
            (mapcar #'sb-ext:make-weak-pointer
                    (sort (mapcar #'sb-ext:weak-pointer-value (living pointers)) #'< :key #'constructor-hash))))))

;;; Counters

(defun reset-counters ()
  ;; Whether the finalizer's thread still came to run the hooks after a collection is a race.
  (when (boundp 'sb-impl::*run-gc-hooks*)
    (setf (symbol-value 'sb-impl::*run-gc-hooks*) 0))
  (setf sb-ext:*gc-run-time* 0
        sb-impl::*gc-real-time* 0
        sb-int::*n-bytes-freed-or-purified* 0))

;;; When

(defun keep-code (function scratchpad)
  "A thread frees code that nothing refers to; whether that is before or after other code is made would decide how much
room that one gets."
  (declare (ignore function scratchpad))
  nil)

(defun watch ()
  (when (fboundp 'sb-vm::immobile-code-dealloc-1)
    (sb-int::encapsulate 'sb-vm::immobile-code-dealloc-1 'monolisp-seal #'keep-code))
  (sb-int::encapsulate 'sb-pcl::allocate-standard-funcallable-instance 'monolisp-seal #'counted)
  (sb-int::encapsulate 'sb-impl::stream-deinit 'monolisp-seal #'expect-the-end))

(defun expect-the-end (stream-deinit)
  "The last thing of DEINIT; what comes after it makes types, too."
  (funcall stream-deinit)
  (wipe-stack)
  (sb-int::unencapsulate 'sb-impl::stream-deinit 'monolisp-seal)
  (sb-int::unencapsulate 'sb-vm::immobile-code-dealloc-1 'monolisp-seal)
  (sb-int::encapsulate 'sb-kernel::unsafe-clear-roots 'monolisp-seal #'seal))

(defun seal (unsafe-clear-roots generation)
  "The last thing that Lisp does before C saves the core. A collection in between clears other generations."
  (when (= generation sb-vm::+highest-normal-generation+)
    (sb-int::unencapsulate 'sb-kernel::unsafe-clear-roots 'monolisp-seal)
    (sb-int::unencapsulate 'sb-impl::%make-symbol 'monolisp-seal)
    (draw-types-again)
    (sb-int::unencapsulate 'sb-pcl::allocate-standard-funcallable-instance 'monolisp-seal)
    (forget-state)
    (wipe-stack)
    ;; Not GC: neither finalizers nor hooks of the program's may run any more.
    (sb-kernel::sub-gc sb-vm::+pseudo-static-generation+)
    (seal-instances)
    (seal-members)
    (seal-finalizers)
    (seal-types)
    (sb-impl::drop-all-hash-caches)
    (reset-counters))
  (funcall unsafe-clear-roots generation))

(defun begin ()
  "What was made while these files were loaded gets the numbers and the order that the rest will have."
  (watch)
  (seal-types)
  (dolist (types (members sb-kernel::*ctype-set-hashset*))
    (when (drawn-p types) (put-in-order types #'bits-of))))

(when (sealed-p) (begin))

(dolist (name '("SB-IMPL" "SB-KERNEL" "SB-INT" "SB-VM" "SB-SYS" "SB-C"))
  (sb-ext:lock-package name))
