"""OCI images: a program and what it needs around it as one file, and pushing that to a registry."""

from __future__ import annotations

from monolisp.oci.archive import write_archive
from monolisp.oci.image import Compression, Contents
from monolisp.oci.layout import read_archive
from monolisp.oci.programs import Extras, images_of
from monolisp.oci.push import Attachment, push

__all__ = ["Attachment", "Compression", "Contents", "Extras", "images_of", "push", "read_archive", "write_archive"]
