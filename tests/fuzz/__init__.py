"""Coverage-guided fuzzing of every parser of foreign bytes: libFuzzer makes inputs of those that reached new code.

`make fuzz` installs atheris (libFuzzer for Python; CPython 3.11 to 3.13 on Linux) and runs all targets of
:mod:`tests.fuzz.targets` within BUDGET seconds; `make fuzz TARGET=modfile_elf BUDGET=60` runs one. What a run found is
kept in the cache, so the next run goes on from there. The corpus in corpus/ is the part of it that covers all code that
any run has covered; `make test` gives each of its inputs to its target, without atheris.

An input on which a target fails is written to crashes/. The driver prints the command that replays it. The fault is
mended with a test of its own, and the input is added to the corpus (``--minimise`` keeps it, because it reaches the
code of the mend).
"""
