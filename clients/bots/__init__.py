"""Messengers as channels: each person who was let in is a channel, whom programs tell and ask.

`wire` says what a messenger must be able to do, `bot` carries between it and the daemon, and `book` keeps who
was let in. Each messenger is a module.
"""
