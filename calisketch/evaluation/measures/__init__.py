"""The figures of merit themselves: of one image, of pairs of images, and of whole sets of images."""
