"""The public JSON shapes and what fills them."""
