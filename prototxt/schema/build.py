"""Compile ``caffe.proto`` to ``caffe.binpb``; for developers only, after a change of the schema.

Run ``python prototxt/schema/build.py``; needs ``grpcio-tools`` or a ``protoc`` on the PATH, which users do not.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

__all__ = ["compile_schema"]

HERE = Path(__file__).resolve().parent


def compile_schema(proto: Path = HERE / "caffe.proto") -> bytes:
    """The serialized FileDescriptorSet of a ``.proto`` file.

    Args:
        proto: the schema's source.

    Raises:
        FileNotFoundError: neither ``grpcio-tools`` nor ``protoc`` is installed.
        subprocess.CalledProcessError: the schema does not compile; protoc's message is on stderr.
    """
    if find_spec("grpc_tools") is not None:
        protoc = [sys.executable, "-m", "grpc_tools.protoc"]
    elif (compiler := shutil.which("protoc")) is not None:
        protoc = [compiler]
    else:
        raise FileNotFoundError("no protoc: pip install grpcio-tools, or put protoc on the PATH")
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "set.binpb"
        subprocess.run([*protoc, f"-I{proto.parent}", f"--descriptor_set_out={output}", proto.name], check=True)
        return output.read_bytes()


if __name__ == "__main__":
    (HERE / "caffe.binpb").write_bytes(compile_schema())
