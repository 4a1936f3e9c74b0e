from monolisp.cli import main

raise SystemExit(main())
