"""The proto files are the documentation: everything in them has a comment."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)
from grpc_tools import protoc

PROTO = Path(__file__).parents[2] / "proto"


def _described(scratch: Path) -> FileDescriptorSet:
    out = scratch / "set.pb"
    sources = [f"rlmd/proto/{path.relative_to(PROTO)}" for path in sorted(PROTO.glob("rlmd/v1/*.proto"))]
    includes = [f"-Irlmd/proto={PROTO}", f"-I{files('grpc_tools') / '_proto'}"]
    command = ["protoc", *includes, "--include_source_info", f"--descriptor_set_out={out}", *sources]
    assert protoc.main(command) == 0
    return FileDescriptorSet.FromString(out.read_bytes())


def _of_message(
    message: DescriptorProto, path: tuple[int, ...], name: str
) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield name, path
    for at, field in enumerate(message.field):
        yield f"{name}.{field.name}", (*path, 2, at)
    for at, inner in enumerate(message.nested_type):
        yield from _of_message(inner, (*path, 3, at), f"{name}.{inner.name}")


def _of_enum(enum: EnumDescriptorProto, path: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield enum.name, path
    for at, value in enumerate(enum.value):
        yield f"{enum.name}.{value.name}", (*path, 2, at)


def _things(file: FileDescriptorProto) -> Iterator[tuple[str, tuple[int, ...]]]:
    for at, message in enumerate(file.message_type):
        yield from _of_message(message, (4, at), message.name)
    for at, enum in enumerate(file.enum_type):
        yield from _of_enum(enum, (5, at))
    for at, service in enumerate(file.service):
        yield service.name, (6, at)
        for position, method in enumerate(service.method):
            yield f"{service.name}.{method.name}", (6, at, 2, position)


def test_every_service_method_message_field_and_value_has_a_comment(tmp_path: Path) -> None:
    files_seen = _described(tmp_path).file
    assert len(files_seen) >= 5
    bare: list[str] = []
    for file in files_seen:
        commented = {
            tuple(location.path)
            for location in file.source_code_info.location
            if location.leading_comments.strip()
        }
        bare += [f"{file.name}: {name}" for name, path in _things(file) if path not in commented]
    assert not bare
