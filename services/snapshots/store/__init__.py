"""Where artifacts live: content-addressed blobs, verified on the way in.

A *blob* is whole, verified and read-only; a *partial* is a download that may still be resumed.
"""
