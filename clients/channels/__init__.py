"""Standing connections: a client that is a channel, offers functions, and is sent messages and questions.

`functions` makes an offer of a typed Python function, `serving` and `calls` do what the daemon asks for, and
`task` keeps the connection. `thread` is the face of `task` for plain code.
"""
