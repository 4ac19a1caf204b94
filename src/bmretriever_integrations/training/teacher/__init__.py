"""A stronger encoder, made of files in packages, whose similarities a smaller model learns."""
