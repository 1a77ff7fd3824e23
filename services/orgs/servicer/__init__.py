"""The context's services over gRPC, one module a service: unwrap, act in one transaction, wrap."""
