"""The command line: one module a command, each with `add_parser` and `run`."""

from voiced.startup import refuse_shadows

# Here, because this file is executed before any module of the commands and what they import.
refuse_shadows()
