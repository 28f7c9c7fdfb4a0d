"""The daemon's door: gRPC services over memory and the loop. Start reading at server.py, then auth.py."""
