"""The command line, `git kv …`: one verb a file, loaded only when it is the one that was asked
for.
"""
