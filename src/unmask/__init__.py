"""unmask: tells whether the faces in a video were manipulated."""

__version__ = "0.1.0"
