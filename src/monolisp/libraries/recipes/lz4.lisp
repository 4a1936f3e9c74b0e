;;; Proves that lz4 works: round trips of both compressors, and the magic number of a frame.

(sb-alien:load-shared-object "liblz4.so.1")

(defun check (what got expected)
  (unless (equalp got expected)
    (error "~a: ~s instead of ~s" what got expected)))

(sb-alien:define-alien-routine "LZ4_compressBound" sb-alien:int (size sb-alien:int))

(sb-alien:define-alien-routine "LZ4_compress_default" sb-alien:int
  (source sb-sys:system-area-pointer) (target sb-sys:system-area-pointer) (size sb-alien:int) (room sb-alien:int))

(sb-alien:define-alien-routine "LZ4_compress_HC" sb-alien:int
  (source sb-sys:system-area-pointer) (target sb-sys:system-area-pointer) (size sb-alien:int) (room sb-alien:int)
  (level sb-alien:int))

(sb-alien:define-alien-routine "LZ4_decompress_safe" sb-alien:int
  (source sb-sys:system-area-pointer) (target sb-sys:system-area-pointer) (size sb-alien:int) (room sb-alien:int))

(sb-alien:define-alien-routine "LZ4F_compressFrame" sb-alien:unsigned-long
  (target sb-sys:system-area-pointer) (room sb-alien:unsigned-long)
  (source sb-sys:system-area-pointer) (size sb-alien:unsigned-long) (preferences sb-sys:system-area-pointer))

(defun main ()
  (let* ((size 200000)
         (room (+ 100 (lz4-compressbound size)))
         (text (make-array size :element-type '(unsigned-byte 8)))
         (packed (make-array room :element-type '(unsigned-byte 8)))
         (unpacked (make-array size :element-type '(unsigned-byte 8))))
    (dotimes (i size)
      (setf (aref text i) (mod (ash (* i i) -3) 13)))
    (sb-sys:with-pinned-objects (text packed unpacked)
      (let ((source (sb-sys:vector-sap text))
            (target (sb-sys:vector-sap packed))
            (result (sb-sys:vector-sap unpacked)))
        (dolist (packed-size (list (lz4-compress-default source target size room)
                                   (lz4-compress-hc source target size room 9)))
          (check "the compressed text is smaller" (< 0 packed-size size) t))
        (check "LZ4_decompress_safe"
               (lz4-decompress-safe target result (lz4-compress-hc source target size room 9) size)
               size)
        (check "the round trip" unpacked text)
        (fill unpacked 0)
        (check "LZ4_decompress_safe"
               (lz4-decompress-safe target result (lz4-compress-default source target size room) size)
               size)
        (check "the round trip" unpacked text)
        (lz4f-compressframe target room source size (sb-sys:int-sap 0))
        (check "the magic number" (subseq packed 0 4) #(4 #x22 #x4D #x18))))
    (format t "lz4 ok~%")))
