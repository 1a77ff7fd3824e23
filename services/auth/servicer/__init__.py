"""One method per RPC: unwrap, act, wrap."""
