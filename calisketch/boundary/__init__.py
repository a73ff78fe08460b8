"""A person's sheet <-> tensors: files decoded, ink read, the face placed, answers in the sheet's own kind."""
