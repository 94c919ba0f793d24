"""The face of tensors: the class, its spellings, what may stand beside it, creation, and functions of it."""
