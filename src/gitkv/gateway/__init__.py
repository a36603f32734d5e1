"""Use cases of Stargate: receive, commit, mirror, audit in the background, recover, maintain.
Transport-free.
"""
