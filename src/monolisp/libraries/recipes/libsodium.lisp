;;; Proves that libsodium works: hashes and streams with known answers, boxes that open and that do not.

(sb-alien:load-shared-object "libsodium.so.23")

(defun check (what got expected)
  (unless (equalp got expected)
    (error "~a: ~s instead of ~s" what got expected)))

(deftype octets () '(simple-array (unsigned-byte 8) (*)))

(sb-alien:define-alien-type octets sb-sys:system-area-pointer)
(sb-alien:define-alien-type size sb-alien:unsigned-long-long)

(sb-alien:define-alien-routine "sodium_init" sb-alien:int)
(sb-alien:define-alien-routine "crypto_hash_sha256" sb-alien:int (hash octets) (text octets) (size size))

(sb-alien:define-alien-routine "crypto_generichash" sb-alien:int
  (hash octets) (hash-size sb-alien:unsigned-long) (text octets) (size size)
  (key octets) (key-size sb-alien:unsigned-long))

(sb-alien:define-alien-routine "crypto_stream_chacha20" sb-alien:int
  (stream octets) (size size) (nonce octets) (key octets))

(sb-alien:define-alien-routine "crypto_secretbox_easy" sb-alien:int
  (box octets) (text octets) (size size) (nonce octets) (key octets))

(sb-alien:define-alien-routine "crypto_secretbox_open_easy" sb-alien:int
  (text octets) (box octets) (size size) (nonce octets) (key octets))

(sb-alien:define-alien-routine "crypto_scalarmult_base" sb-alien:int (public octets) (secret octets))
(sb-alien:define-alien-routine "crypto_scalarmult" sb-alien:int (shared octets) (secret octets) (public octets))
(sb-alien:define-alien-routine "randombytes_buf" sb-alien:void (buffer octets) (size sb-alien:unsigned-long))

(sb-alien:define-alien-routine "crypto_pwhash" sb-alien:int
  (key octets) (key-size size) (password sb-alien:c-string) (password-size size) (salt octets)
  (operations size) (memory sb-alien:unsigned-long) (algorithm sb-alien:int))

(defconstant +argon2id+ 2)

(defun octets (size)
  (make-array size :element-type '(unsigned-byte 8) :initial-element 0))

(defun ascii (text)
  (map 'octets #'char-code text))

(defun hex (octets)
  (format nil "~(~{~2,'0x~}~)" (coerce octets 'list)))

(defmacro with-octets ((&rest names) &body body)
  "BODY with NAMES as the addresses of the octets that they name."
  `(sb-sys:with-pinned-objects ,names
     (let ,(loop for name in names collect `(,name (sb-sys:vector-sap (the octets ,name)))) ,@body)))

(defun check-hashes ()
  (let ((text (ascii "abc"))
        (sha256 (octets 32))
        (blake2b (octets 64)))
    (with-octets (text sha256 blake2b)
      (crypto-hash-sha256 sha256 text 3)
      (crypto-generichash blake2b 64 text 3 (sb-sys:int-sap 0) 0))
    (check "SHA-256" (hex sha256) "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    (check "BLAKE2b" (hex blake2b)
           (concatenate 'string "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
                        "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923"))))

(defun check-stream ()
  (let ((stream (octets 1000))
        (zeros (octets 32)))
    (with-octets (stream zeros)
      (crypto-stream-chacha20 stream 1000 zeros zeros))
    (check "ChaCha20" (hex (subseq stream 0 32)) "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7")))

(defun check-box ()
  (let ((key (octets 32))
        (nonce (octets 24))
        (text (ascii "attack at dawn"))
        (opened (octets 14))
        (box (octets 30)))
    (flet ((opens ()
             (with-octets (box key nonce opened)
               (crypto-secretbox-open-easy opened box 30 nonce key))))
      (with-octets (key nonce text box)
        (randombytes-buf key 32)
        (randombytes-buf nonce 24)
        (crypto-secretbox-easy box text 14 nonce key))
      (check "crypto_secretbox_open_easy" (opens) 0)
      (check "the round trip" opened text)
      (setf (aref box 20) (logxor 1 (aref box 20)))
      (check "a box tampered with" (opens) -1))))

(defun check-curve ()
  (flet ((secret () (let ((key (octets 32))) (with-octets (key) (randombytes-buf key 32)) key))
         (public (secret) (let ((key (octets 32))) (with-octets (key secret) (crypto-scalarmult-base key secret)) key))
         (shared (secret public)
           (let ((key (octets 32))) (with-octets (key secret public) (crypto-scalarmult key secret public)) key)))
    (let ((one (secret))
          (other (secret)))
      (check "the shared secret" (shared one (public other)) (shared other (public one))))))

(defun check-password ()
  (let ((one (octets 32))
        (other (octets 32))
        (salt (octets 16)))
    (with-octets (one other salt)
      (check "crypto_pwhash" (crypto-pwhash one 32 "secret" 6 salt 2 8388608 +argon2id+) 0)
      (check "crypto_pwhash" (crypto-pwhash other 32 "secret" 6 salt 2 8388608 +argon2id+) 0))
    (check "Argon2id" (hex one) (hex other))))

(defun main ()
  (check "sodium_init" (<= 0 (sodium-init)) t)
  (check-hashes)
  (check-stream)
  (check-box)
  (check-curve)
  (check-password)
  (format t "libsodium ok~%"))
