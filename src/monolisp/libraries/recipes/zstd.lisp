;;; Proves that zstd works: round trips, with one thread and with several.

(sb-alien:load-shared-object "libzstd.so.1")

(defun check (what got expected)
  (unless (equalp got expected)
    (error "~a: ~s instead of ~s" what got expected)))

(sb-alien:define-alien-routine "ZSTD_compressBound" sb-alien:unsigned-long (size sb-alien:unsigned-long))
(sb-alien:define-alien-routine "ZSTD_isError" sb-alien:unsigned-int (code sb-alien:unsigned-long))

(sb-alien:define-alien-routine "ZSTD_compress" sb-alien:unsigned-long
  (target sb-sys:system-area-pointer) (room sb-alien:unsigned-long)
  (source sb-sys:system-area-pointer) (size sb-alien:unsigned-long) (level sb-alien:int))

(sb-alien:define-alien-routine "ZSTD_decompress" sb-alien:unsigned-long
  (target sb-sys:system-area-pointer) (room sb-alien:unsigned-long)
  (source sb-sys:system-area-pointer) (size sb-alien:unsigned-long))

(sb-alien:define-alien-routine "ZSTD_createCCtx" sb-sys:system-area-pointer)
(sb-alien:define-alien-routine "ZSTD_freeCCtx" sb-alien:unsigned-long (context sb-sys:system-area-pointer))

(sb-alien:define-alien-routine "ZSTD_CCtx_setParameter" sb-alien:unsigned-long
  (context sb-sys:system-area-pointer) (parameter sb-alien:int) (value sb-alien:int))

(sb-alien:define-alien-routine "ZSTD_compress2" sb-alien:unsigned-long
  (context sb-sys:system-area-pointer) (target sb-sys:system-area-pointer) (room sb-alien:unsigned-long)
  (source sb-sys:system-area-pointer) (size sb-alien:unsigned-long))

(defconstant +workers+ 400) ; ZSTD_c_nbWorkers

(defun octets (size)
  (make-array size :element-type '(unsigned-byte 8)))

(defun unpacks (packed packed-size text)
  "Whether the first PACKED-SIZE octets of PACKED decompress to TEXT."
  (let ((unpacked (octets (length text))))
    (sb-sys:with-pinned-objects (packed unpacked)
      (check "ZSTD_decompress"
             (zstd-decompress (sb-sys:vector-sap unpacked) (length unpacked) (sb-sys:vector-sap packed) packed-size)
             (length text)))
    (check "the round trip" unpacked text)))

(defun main ()
  (let* ((text (octets 4000000))
         (room (zstd-compressbound (length text)))
         (packed (octets room)))
    (dotimes (i (length text))
      (setf (aref text i) (mod (ash (* i i) -7) 251)))
    (sb-sys:with-pinned-objects (text packed)
      (let ((source (sb-sys:vector-sap text))
            (target (sb-sys:vector-sap packed))
            (context (zstd-createcctx)))
        (unpacks packed (zstd-compress target room source (length text) 3) text)
        (check "ZSTD_CCtx_setParameter" (zstd-iserror (zstd-cctx-setparameter context +workers+ 2)) 0)
        (unpacks packed (zstd-compress2 context target room source (length text)) text)
        (zstd-freecctx context)
        (setf (aref packed 0) 0)
        (check "a damaged text" (zstd-iserror (zstd-decompress source (length text) target room)) 1)))
    (format t "zstd ok~%")))
