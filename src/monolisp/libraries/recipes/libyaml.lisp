;;; Proves that libyaml works: the events of a document, and the fault of another.

(sb-alien:load-shared-object "libyaml-0.so.2")

(defun check (what got expected)
  (unless (equalp got expected)
    (error "~a: ~s instead of ~s" what got expected)))

(sb-alien:define-alien-routine "yaml_get_version_string" sb-alien:c-string)
(sb-alien:define-alien-routine "yaml_parser_initialize" sb-alien:int (parser sb-sys:system-area-pointer))
(sb-alien:define-alien-routine "yaml_parser_delete" sb-alien:void (parser sb-sys:system-area-pointer))

(sb-alien:define-alien-routine "yaml_parser_set_input_string" sb-alien:void
  (parser sb-sys:system-area-pointer) (text sb-sys:system-area-pointer) (size sb-alien:unsigned-long))

(sb-alien:define-alien-routine "yaml_parser_parse" sb-alien:int
  (parser sb-sys:system-area-pointer) (event sb-sys:system-area-pointer))

(sb-alien:define-alien-routine "yaml_event_delete" sb-alien:void (event sb-sys:system-area-pointer))

(defparameter *names*
  #(:none :stream :end-of-stream :document :end-of-document :alias :scalar :sequence :end-of-sequence :mapping
    :end-of-mapping))

(defun event (event)
  "What an event is: a string for a scalar, else a keyword. Scalars have anchor, tag and value as pointers."
  (let ((name (aref *names* (sb-sys:sap-ref-32 event 0))))
    (if (eq name :scalar)
        (sb-alien:cast (sb-alien:sap-alien (sb-sys:sap-ref-sap event 24) (* char)) sb-alien:c-string)
        name)))

(defun space-for-c ()
  "More octets than a parser or an event has."
  (sb-alien:alien-sap (sb-alien:make-alien (sb-alien:unsigned 8) 2048)))

(defun events (text)
  "The events of a document; :FAULT is the last one where it is wrong."
  (let ((parser (space-for-c))
        (event (space-for-c))
        (source (sb-alien:alien-sap (sb-alien:make-alien-string text))))
    (check "yaml_parser_initialize" (yaml-parser-initialize parser) 1)
    (yaml-parser-set-input-string parser source (length text))
    (prog1 (loop for fine = (= 1 (yaml-parser-parse parser event))
                 for name = (if fine (event event) :fault)
                 collect name
                 when fine do (yaml-event-delete event)
                 until (member name '(:fault :end-of-stream)))
      (yaml-parser-delete parser))))

(defun main ()
  (check "the version" (yaml-get-version-string) "0.2.5")
  (check "a document" (events (format nil "a: [1, 'two']~%b: {c: d}~%"))
         '(:stream :document :mapping "a" :sequence "1" "two" :end-of-sequence
           "b" :mapping "c" "d" :end-of-mapping :end-of-mapping :end-of-document :end-of-stream))
  (check "a fault" (first (last (events "a: [1, 2"))) :fault)
  (format t "libyaml ok~%"))
