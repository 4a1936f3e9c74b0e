;;; Proves that liblzma works: a checksum with a known answer, and a round trip.

(sb-alien:load-shared-object "liblzma.so.5")

(defun check (what got expected)
  (unless (equalp got expected)
    (error "~a: ~s instead of ~s" what got expected)))

(sb-alien:define-alien-routine "lzma_crc64" (sb-alien:unsigned 64)
  (data sb-sys:system-area-pointer) (size sb-alien:unsigned-long) (crc (sb-alien:unsigned 64)))

(sb-alien:define-alien-routine "lzma_easy_buffer_encode" sb-alien:int
  (preset (sb-alien:unsigned 32)) (check sb-alien:int) (allocator sb-sys:system-area-pointer)
  (source sb-sys:system-area-pointer) (size sb-alien:unsigned-long)
  (target sb-sys:system-area-pointer) (position sb-alien:unsigned-long :in-out) (room sb-alien:unsigned-long))

(sb-alien:define-alien-routine "lzma_stream_buffer_decode" sb-alien:int
  (memory (sb-alien:unsigned 64) :in-out) (flags (sb-alien:unsigned 32)) (allocator sb-sys:system-area-pointer)
  (source sb-sys:system-area-pointer) (source-position sb-alien:unsigned-long :in-out) (size sb-alien:unsigned-long)
  (target sb-sys:system-area-pointer) (position sb-alien:unsigned-long :in-out) (room sb-alien:unsigned-long))

(defconstant +check-crc64+ 4)

(defun decode (packed size unpacked)
  "Status of decoding the first SIZE octets of PACKED, and how many octets came out."
  (multiple-value-bind (status memory read written)
      (lzma-stream-buffer-decode (ash 1 30) 0 (sb-sys:int-sap 0)
                                 (sb-sys:vector-sap packed) 0 size
                                 (sb-sys:vector-sap unpacked) 0 (length unpacked))
    (declare (ignore memory read))
    (list status written)))

(defun main ()
  (let ((digits (map '(simple-array (unsigned-byte 8) (*)) #'char-code "123456789"))
        (text (make-array 100000 :element-type '(unsigned-byte 8)))
        (packed (make-array 110000 :element-type '(unsigned-byte 8)))
        (unpacked (make-array 100000 :element-type '(unsigned-byte 8))))
    (dotimes (i (length text))
      (setf (aref text i) (mod (* i i) 251)))
    (sb-sys:with-pinned-objects (digits text packed unpacked)
      (check "lzma_crc64" (lzma-crc64 (sb-sys:vector-sap digits) 9 0) #x995DC9BBDF1939FA)
      (multiple-value-bind (status size)
          (lzma-easy-buffer-encode 6 +check-crc64+ (sb-sys:int-sap 0) (sb-sys:vector-sap text) 100000
                                   (sb-sys:vector-sap packed) 0 110000)
        (check "lzma_easy_buffer_encode" status 0)
        (check "the magic number" (subseq packed 0 6) #(#xFD #x37 #x7A #x58 #x5A 0))
        (check "lzma_stream_buffer_decode" (decode packed size unpacked) '(0 100000))
        (check "the round trip" unpacked text)
        (setf (aref packed 100) (logxor 255 (aref packed 100)))
        (check "a damaged text" (first (decode packed size unpacked)) 9)))
    (format t "xz ok~%")))
