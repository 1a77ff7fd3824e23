"""Build contexts: archives that organizations upload to an S3-compatible storage, and that builds copy from.

A *context* lies at `<organization id>/<digest>/context.tar`; its *digest* is what the uploader called it, in one of the
formulas of the public clients.
"""
