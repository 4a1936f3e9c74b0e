;;; Proves that OpenSSL works: a digest with a known answer, and TLS 1.3 between a client and a server that share no
;;; network, with a certificate made here, trusted and not trusted.

(sb-alien:load-shared-object "libcrypto.so.3")
(sb-alien:load-shared-object "libssl.so.3")

(defun check (what got expected)
  (unless (equalp got expected)
    (error "~a: ~s instead of ~s" what got expected)))

(defmacro define-c (name result &rest arguments)
  "A C function, by the types of its arguments."
  `(sb-alien:define-alien-routine ,name ,result
     ,@(loop for type in arguments
             for i from 0
             collect (list (intern (format nil "ARGUMENT-~d" i)) type))))

(sb-alien:define-alien-type pointer sb-sys:system-area-pointer)
(defparameter *null* (sb-sys:int-sap 0))

(define-c "EVP_sha256" pointer)
(define-c "EVP_Digest" sb-alien:int pointer sb-alien:unsigned-long pointer pointer pointer pointer)
(define-c "EVP_PKEY_Q_keygen" pointer pointer pointer sb-alien:c-string)
(define-c "OSSL_PROVIDER_load" pointer pointer sb-alien:c-string)
(define-c "X509_new" pointer)
(define-c "X509_set_version" sb-alien:int pointer sb-alien:long)
(define-c "X509_get_serialNumber" pointer pointer)
(define-c "ASN1_INTEGER_set" sb-alien:int pointer sb-alien:long)
(define-c "X509_getm_notBefore" pointer pointer)
(define-c "X509_getm_notAfter" pointer pointer)
(define-c "X509_gmtime_adj" pointer pointer sb-alien:long)
(define-c "X509_set_pubkey" sb-alien:int pointer pointer)
(define-c "X509_get_subject_name" pointer pointer)
(define-c "X509_set_issuer_name" sb-alien:int pointer pointer)
(define-c "X509_NAME_add_entry_by_txt" sb-alien:int
  pointer sb-alien:c-string sb-alien:int sb-alien:c-string sb-alien:int sb-alien:int sb-alien:int)
(define-c "X509_sign" sb-alien:int pointer pointer pointer)
(define-c "X509_STORE_add_cert" sb-alien:int pointer pointer)
(define-c "TLS_method" pointer)
(define-c "SSL_CTX_new" pointer pointer)
(define-c "SSL_CTX_use_certificate" sb-alien:int pointer pointer)
(define-c "SSL_CTX_use_PrivateKey" sb-alien:int pointer pointer)
(define-c "SSL_CTX_get_cert_store" pointer pointer)
(define-c "SSL_CTX_set_verify" sb-alien:void pointer sb-alien:int pointer)
(define-c "SSL_new" pointer pointer)
(define-c "SSL_set_bio" sb-alien:void pointer pointer pointer)
(define-c "SSL_set1_host" sb-alien:int pointer sb-alien:c-string)
(define-c "SSL_set_connect_state" sb-alien:void pointer)
(define-c "SSL_set_accept_state" sb-alien:void pointer)
(define-c "SSL_do_handshake" sb-alien:int pointer)
(define-c "SSL_get_verify_result" sb-alien:long pointer)
(define-c "SSL_get_version" sb-alien:c-string pointer)
(define-c "SSL_write" sb-alien:int pointer sb-alien:c-string sb-alien:int)
(define-c "SSL_read" sb-alien:int pointer pointer sb-alien:int)

(sb-alien:define-alien-routine "BIO_new_bio_pair" sb-alien:int
  (one pointer :out) (room sb-alien:unsigned-long) (other pointer :out) (other-room sb-alien:unsigned-long))

(defconstant +ascii+ #x1001)
(defconstant +verify-peer+ 1)
(defconstant +self-signed+ 18)

(defun check-digest ()
  (let ((text (map '(simple-array (unsigned-byte 8) (*)) #'char-code "abc"))
        (digest (make-array 32 :element-type '(unsigned-byte 8))))
    (sb-sys:with-pinned-objects (text digest)
      (check "EVP_Digest"
             (evp-digest (sb-sys:vector-sap text) 3 (sb-sys:vector-sap digest) *null* (evp-sha256) *null*)
             1))
    (check "SHA-256" (format nil "~(~{~2,'0x~}~)" (coerce digest 'list))
           "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")))

(defun certificate (key name)
  "A certificate of KEY for the host NAME, signed by itself."
  (let* ((certificate (x509-new))
         (subject (x509-get-subject-name certificate)))
    (x509-set-version certificate 2)
    (asn1-integer-set (x509-get-serialnumber certificate) 1)
    (x509-gmtime-adj (x509-getm-notbefore certificate) 0)
    (x509-gmtime-adj (x509-getm-notafter certificate) 3600)
    (x509-set-pubkey certificate key)
    (x509-name-add-entry-by-txt subject "CN" +ascii+ name -1 -1 0)
    (x509-set-issuer-name certificate subject)
    (check "X509_sign" (plusp (x509-sign certificate key *null*)) t)
    certificate))

(defun connect (trusts)
  "A client and a server after their handshake; the client trusts the server's certificate or not."
  (let* ((key (evp-pkey-q-keygen *null* *null* "ED25519"))
         (certificate (certificate key "localhost"))
         (server-side (ssl-ctx-new (tls-method)))
         (client-side (ssl-ctx-new (tls-method))))
    (check "SSL_CTX_use_certificate" (ssl-ctx-use-certificate server-side certificate) 1)
    (check "SSL_CTX_use_PrivateKey" (ssl-ctx-use-privatekey server-side key) 1)
    (ssl-ctx-set-verify client-side +verify-peer+ *null*)
    (when trusts
      (x509-store-add-cert (ssl-ctx-get-cert-store client-side) certificate))
    (let ((server (ssl-new server-side))
          (client (ssl-new client-side)))
      (multiple-value-bind (status one other) (bio-new-bio-pair 0 0)
        (check "BIO_new_bio_pair" status 1)
        (ssl-set-bio server one one)
        (ssl-set-bio client other other))
      (ssl-set1-host client "localhost")
      (ssl-set-accept-state server)
      (ssl-set-connect-state client)
      (loop repeat 10
            until (= 1 (ssl-do-handshake client) (ssl-do-handshake server)))
      (values client server))))

(defun main ()
  (check-digest)
  (check "the legacy provider" (sb-sys:sap= *null* (ossl-provider-load *null* "legacy")) nil)
  (multiple-value-bind (client server) (connect t)
    (let ((read (make-array 100 :element-type '(unsigned-byte 8))))
      (check "the certificate" (ssl-get-verify-result client) 0)
      (check "the protocol" (ssl-get-version client) "TLSv1.3")
      (check "SSL_write" (ssl-write client "hello" 5) 5)
      (sb-sys:with-pinned-objects (read)
        (check "SSL_read" (ssl-read server (sb-sys:vector-sap read) 100) 5))
      (check "what was read" (map 'string #'code-char (subseq read 0 5)) "hello")))
  (check "a certificate not trusted" (ssl-get-verify-result (connect nil)) +self-signed+)
  (format t "openssl ok~%"))
