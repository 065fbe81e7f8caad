"""Reports: a process of its own that verifies again what runs, and writes a report for each workload.

It decides nothing and evicts nothing. It has the webhook's rights to read, a budget of its own that is far below that
of admission, and the right to write reports.
"""
