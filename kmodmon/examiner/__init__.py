"""Examines module files: finds the file of a module, reads its modinfo, verifies its signature, finds its package.

Module files are hostile input, and reading them takes libraries that the daemon does without (cryptography,
decompression). So all of this runs in a short-lived process, `python -m kmodmon.examiner`; the daemon imports only
`client` and `protocol`. The process reads a request as one line of JSON on stdin and answers with one line for each
module.

The request names the paths of the host's root file system and of sysfs, so the process works on a recorded machine and
in a container. It reads no other kernel interface and runs no program.
"""
