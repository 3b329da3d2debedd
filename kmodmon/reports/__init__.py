"""What the kernel reports in its log: signatures as data (one file a theme, in `signatures`), and reports from lines.

From a record to a report: `prefilter` selects the raw records that can match a signature, `opening` decides what of a
record may open a report, `signatures.table.match_line` finds the signature of a line, `banner` and `assembler` put
lines together into drafts, `draft` and `blame` turn a draft into a report, and `recognizer` is the pure interface to
all that. `live_log` runs it on /dev/kmsg, `previous_boot` on the dumps of pstore, `saved_log` and `explain` on what the
command line gets.
"""
