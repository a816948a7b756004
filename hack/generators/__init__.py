"""One module per kind of generated file: from parsed sources to text, touching no file."""
