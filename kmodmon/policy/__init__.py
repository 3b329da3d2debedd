"""Layer 2: what is allowed. The policy's rules and the baseline, read from TOML, and a host's state judged by them.

`document` and `baseline_document` read and write the two files; `shipped` is the policy of a host without a file;
`subject` draws from a state what rules can be held against, `match` holds one rule against one subject, `judge` all
rules against all subjects, `drift` a state against a baseline; `standing` is what the pipeline calls. All of it pure.
"""
