"""Examines module files: where a loaded module's file is, what it says, who signed it, whether that holds, who owns it.

Module files are hostile input read with libraries that do not belong into the daemon (cryptography, decompression), so
all of this runs in a short-lived process of its own, `python -m kmodmon.examiner`; the daemon imports only `client` and
`protocol`. The process reads a request as one line of JSON on stdin and answers with one line for each module.

It opens no kernel interface: paths of the host's root file system and of sysfs are given to it, so it works on a
recorded machine and in a container. It runs no program.
"""
