"""What the kernel says: signatures as data (one file a theme, listed in `table.THEMES`), and reports from its lines.

Left to right: `prefilter` picks the records that can mean something, `table.match` names the signature of a line,
`assembler` puts lines together into drafts, `draft` and `blame` close them into reports, `recognise` is the pure face
of all that for the daemon, `offline` and `explain` for the command line.
"""
