"""Opens images from any source, with limits on bytes, pixels and decoding cost."""
