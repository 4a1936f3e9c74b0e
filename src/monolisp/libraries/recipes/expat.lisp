;;; Proves that expat works: it calls Lisp back for every element, and says what is wrong with a document.

(sb-alien:load-shared-object "libexpat.so.1")

(defun check (what got expected)
  (unless (equalp got expected)
    (error "~a: ~s instead of ~s" what got expected)))

(sb-alien:define-alien-routine "XML_ParserCreate" sb-sys:system-area-pointer (encoding sb-alien:c-string))
(sb-alien:define-alien-routine "XML_ParserFree" sb-alien:void (parser sb-sys:system-area-pointer))
(sb-alien:define-alien-routine "XML_GetErrorCode" sb-alien:int (parser sb-sys:system-area-pointer))
(sb-alien:define-alien-routine "XML_ErrorString" sb-alien:c-string (code sb-alien:int))

(sb-alien:define-alien-routine "XML_SetElementHandler" sb-alien:void
  (parser sb-sys:system-area-pointer) (start sb-sys:system-area-pointer) (end sb-sys:system-area-pointer))

(sb-alien:define-alien-routine "XML_SetCharacterDataHandler" sb-alien:void
  (parser sb-sys:system-area-pointer) (handler sb-sys:system-area-pointer))

(sb-alien:define-alien-routine "XML_Parse" sb-alien:int
  (parser sb-sys:system-area-pointer) (text sb-alien:c-string) (size sb-alien:int) (final sb-alien:int))

(defvar *events*)

(sb-alien::define-alien-callable element-begins sb-alien:void
    ((data sb-sys:system-area-pointer) (name sb-alien:c-string) (attributes (* sb-alien:c-string)))
  (declare (ignore data))
  (push (list* name (loop for i from 0
                          while (sb-alien:deref attributes i)
                          collect (sb-alien:deref attributes i)))
        *events*))

(sb-alien::define-alien-callable element-ends sb-alien:void
    ((data sb-sys:system-area-pointer) (name sb-alien:c-string))
  (declare (ignore data))
  (push (list :end name) *events*))

(sb-alien::define-alien-callable characters sb-alien:void
    ((data sb-sys:system-area-pointer) (text sb-sys:system-area-pointer) (size sb-alien:int))
  (declare (ignore data))
  (push (coerce (loop for i below size collect (code-char (sb-sys:sap-ref-8 text i))) 'string) *events*))

(defun address (name)
  (sb-alien:alien-sap (sb-alien::alien-callable-function name)))

(defun parse (text)
  "The events of a document; second value: what is wrong with it, or NIL."
  (let ((*events* '())
        (parser (xml-parsercreate nil)))
    (xml-setelementhandler parser (address 'element-begins) (address 'element-ends))
    (xml-setcharacterdatahandler parser (address 'characters))
    (let ((fine (= 1 (xml-parse parser text (length text) 1))))
      (multiple-value-prog1
          (values (reverse *events*) (unless fine (xml-errorstring (xml-geterrorcode parser))))
        (xml-parserfree parser)))))

(defun main ()
  (check "a document" (multiple-value-list (parse "<?xml version='1.0'?><a x='1' y='&lt;'>text<b/></a>"))
         '((("a" "x" "1" "y" "<") "text" ("b") (:end "b") (:end "a")) nil))
  (check "an entity" (parse "<!DOCTYPE a [<!ENTITY e 'world'>]><a>&e;</a>") '(("a") "world" (:end "a")))
  (check "a fault" (nth-value 1 (parse "<a></b>")) "mismatched tag")
  (format t "expat ok~%"))
