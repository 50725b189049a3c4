"""The version of libkvsieve that this package was written for, which is the package's own version."""

VERSION = "0.1.0"
