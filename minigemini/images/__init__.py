"""Opening images from any source: every limit on bytes, pixels and decoding cost is here."""
