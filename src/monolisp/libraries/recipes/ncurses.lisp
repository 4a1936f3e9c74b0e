;;; ncurses: descriptions of terminals that are built in; text put on an invisible screen and read back from it.

(use-package :sb-alien)
(load-shared-object "libncursesw.so.6")
(load-shared-object "libtinfo.so.6")
(load-shared-object "libpanelw.so.6")

(define-alien-routine setupterm int (name c-string) (fd int) (result (* int)))
(define-alien-routine tigetnum int (capability c-string))
(define-alien-routine tigetflag int (capability c-string))
(define-alien-routine tigetstr c-string (capability c-string))
(define-alien-routine tparm c-string
  (text c-string) (p1 long) (p2 long) (p3 long) (p4 long) (p5 long) (p6 long) (p7 long) (p8 long) (p9 long))
(define-alien-routine newterm system-area-pointer
  (name c-string) (out system-area-pointer) (in system-area-pointer))
(define-alien-routine endwin int)
(define-alien-routine ("fopen" c-fopen) system-area-pointer (path c-string) (mode c-string))
(define-alien-routine newwin system-area-pointer (rows int) (columns int) (row int) (column int))
(define-alien-routine waddnstr int (window system-area-pointer) (text c-string) (count int))
(define-alien-routine mvwinnstr int
  (window system-area-pointer) (row int) (column int) (text (* char)) (count int))
(define-alien-routine new-panel system-area-pointer (window system-area-pointer))
(define-alien-routine update-panels void)
(define-alien-routine doupdate int)

(defconstant +ok+ 0)

(defun check-terminal (name colors clear)
  "CLEAR is how clearing the screen begins."
  (let ((result (make-alien int)))
    (assert (= +ok+ (setupterm name 1 result)))
    (assert (= 1 (deref result)))
    (assert (= colors (tigetnum "colors")))
    (assert (eql 0 (search clear (tigetstr "clear"))))))

(defun escape (text)
  "TEXT with ~ for the escape character."
  (substitute (code-char 27) #\~ text))

(defun check-screen ()
  (let ((out (c-fopen "ncurses-screen" "w+")))
    (assert (plusp (sb-sys:sap-int out)))
    (assert (plusp (sb-sys:sap-int (newterm "xterm-256color" out out))))
    (let ((window (newwin 3 20 1 1))
          (text (make-alien char 40)))
      (assert (plusp (sb-sys:sap-int (new-panel window))))
      (assert (= +ok+ (waddnstr window "hello, screen" -1)))
      (update-panels)
      (assert (= +ok+ (doupdate)))
      (assert (= 6 (mvwinnstr window 0 7 text 6)))
      (assert (string= "screen" (cast text c-string))))
    (endwin)
    (delete-file "ncurses-screen")))

(defun main ()
  (check-terminal "xterm" 8 (escape "~[H~[2J"))
  (check-terminal "vt100" -1 (escape "~[H~[J"))
  (check-terminal "linux" 8 (escape "~[H~[J"))
  (check-terminal "screen" 8 (escape "~[H~[J"))
  (check-terminal "screen-256color" 256 (escape "~[H~[J"))
  (check-terminal "tmux" 8 (escape "~[H~[J"))
  (check-terminal "tmux-256color" 256 (escape "~[H~[J"))
  (check-terminal "rxvt" 8 (escape "~[H~[2J"))
  (check-terminal "xterm-256color" 256 (escape "~[H~[2J"))
  (assert (= 1 (tigetflag "am")))
  (assert (string= (escape "~[5;8H") (tparm (tigetstr "cup") 4 7 0 0 0 0 0 0 0)))
  (check-screen)
  (format t "ncurses ok~%"))
