import os

# Before anything imports gRPC: a child that is forked with another account, as some programs are started here, has died in its
# handlers before it became that program.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
