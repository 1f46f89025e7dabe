"""Archives: tar and zip files of strangers, read with bounded time and memory.

    limits   what an archive may cost, and which names it may hold
    packing  the bytes inside a gzip, bzip2 or xz file
    headers  the 512-byte header of a tar member, and pax records
    tar      the members of a tar file, one after the other
    records  the records a zip file is made of
    zip      the entries of a zip file

Everything here is synchronous and pure. It is written for hostile input, and to refuse what two readers would
understand differently: what the registry checks must be what pip and npm unpack. The standard library's modules are
tolerant where this must not be, and costly: a 199 KiB tar.gz with one giant pax header keeps `tarfile` busy for 5.8
seconds and makes it allocate 213 MiB.
"""

from registry.archives.limits import Limits
from registry.archives.tar import TarMember, tar_members
from registry.archives.zip import Zip, open_zip

__all__ = ["Limits", "TarMember", "Zip", "open_zip", "tar_members"]
