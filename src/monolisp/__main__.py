from monolisp.cli import command_line

command_line()
