;;; Proves that zlib works: checksums with known answers, and a round trip.

(sb-alien:load-shared-object "libz.so.1")

(defun check (what got expected)
  (unless (equalp got expected)
    (error "~a: ~s instead of ~s" what got expected)))

(deftype octets () '(simple-array (unsigned-byte 8) (*)))

(sb-alien:define-alien-routine "crc32" sb-alien:unsigned-long
  (crc sb-alien:unsigned-long) (data sb-sys:system-area-pointer) (length sb-alien:unsigned-int))

(sb-alien:define-alien-routine "adler32" sb-alien:unsigned-long
  (adler sb-alien:unsigned-long) (data sb-sys:system-area-pointer) (length sb-alien:unsigned-int))

(sb-alien:define-alien-routine "compress2" sb-alien:int
  (target sb-sys:system-area-pointer) (target-length sb-alien:unsigned-long :in-out)
  (source sb-sys:system-area-pointer) (source-length sb-alien:unsigned-long) (level sb-alien:int))

(sb-alien:define-alien-routine "uncompress" sb-alien:int
  (target sb-sys:system-area-pointer) (target-length sb-alien:unsigned-long :in-out)
  (source sb-sys:system-area-pointer) (source-length sb-alien:unsigned-long))

(defun main ()
  (let ((digits (map 'octets #'char-code "123456789"))
        (text (make-array 100000 :element-type '(unsigned-byte 8)))
        (packed (make-array 110000 :element-type '(unsigned-byte 8)))
        (unpacked (make-array 100000 :element-type '(unsigned-byte 8))))
    (dotimes (i (length text))
      (setf (aref text i) (mod (* i i) 251)))
    (sb-sys:with-pinned-objects (digits text packed unpacked)
      (check "crc32" (crc32 0 (sb-sys:vector-sap digits) 9) #xCBF43926)
      (check "adler32" (adler32 1 (sb-sys:vector-sap digits) 9) #x091E01DE)
      (multiple-value-bind (status size)
          (compress2 (sb-sys:vector-sap packed) 110000 (sb-sys:vector-sap text) 100000 9)
        (check "compress2" status 0)
        (check "the compressed text is small" (< size 5000) t)
        (check "uncompress"
               (multiple-value-list (uncompress (sb-sys:vector-sap unpacked) 100000 (sb-sys:vector-sap packed) size))
               '(0 100000))
        (check "the round trip" unpacked text)
        (check "a damaged text"
               (progn (setf (aref packed 500) (logxor 255 (aref packed 500)))
                      (uncompress (sb-sys:vector-sap unpacked) 100000 (sb-sys:vector-sap packed) size))
               -3)))
    (format t "zlib ok~%")))
