"""Stargate as a process: sockets, configuration, workers, signals. What a push means is decided in
`gateway/`.
"""
