"""The wire protocols as state machines without I/O: bytes in, values and bytes out.

`pkt_line` frames; `receive_pack` is the server half of git's push protocol (v0), `send_pack` the
client half; `push_grammar` says which pushes are known at all; `answer_lines` words the answer.
`batch`, `snapshot`, `nested` and `flat` are the texts that data comes in and leaves by.
Sockets, time-outs, the pack and every rule about content are left to others.
"""
