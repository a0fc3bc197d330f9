"""The protobuf messages of a Sparkplug B payload, declared here from the standard's field numbers (chapter 6)."""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message

from schemas.errors import Reject

PACKAGE: Final = "cityops.sparkplug"
FIELD: Final = descriptor_pb2.FieldDescriptorProto
SCALARS: Final = {
    "uint32": FIELD.TYPE_UINT32,
    "uint64": FIELD.TYPE_UINT64,
    "float": FIELD.TYPE_FLOAT,
    "double": FIELD.TYPE_DOUBLE,
    "bool": FIELD.TYPE_BOOL,
    "string": FIELD.TYPE_STRING,
    "bytes": FIELD.TYPE_BYTES,
}
MESSAGES: Final[dict[str, str]] = {
    "Payload": "1 timestamp uint64, 2 metrics Metric*, 3 seq uint64, 4 uuid string, 5 body bytes",
    "Metric": "1 name string, 2 alias uint64, 3 timestamp uint64, 4 datatype uint32, 5 is_historical bool, 6 is_transient bool,"
    " 7 is_null bool, 8 metadata MetaData, 9 properties PropertySet, 10 int_value uint32|, 11 long_value uint64|,"
    " 12 float_value float|, 13 double_value double|, 14 boolean_value bool|, 15 string_value string|, 16 bytes_value bytes|,"
    " 17 dataset_value DataSet|, 18 template_value Template|",
    "MetaData": "1 is_multi_part bool, 2 content_type string, 3 size uint64, 4 seq uint64, 5 file_name string,"
    " 6 file_type string, 7 md5 string, 8 description string",
    "PropertySet": "1 keys string*, 2 values PropertyValue*",
    "PropertySetList": "1 propertyset PropertySet*",
    "PropertyValue": "1 type uint32, 2 is_null bool, 3 int_value uint32|, 4 long_value uint64|, 5 float_value float|,"
    " 6 double_value double|, 7 boolean_value bool|, 8 string_value string|, 9 propertyset_value PropertySet|,"
    " 10 propertysets_value PropertySetList|",
    "DataSet": "1 num_of_columns uint64, 2 columns string*, 3 types uint32*, 4 rows Row*",
    "Row": "1 elements Element*",
    "Element": "1 int_value uint32|, 2 long_value uint64|, 3 float_value float|, 4 double_value double|, 5 boolean_value bool|,"
    " 6 string_value string|",
    "Template": "1 version string, 2 metrics Metric*, 3 parameters Parameter*, 4 template_ref string, 5 is_definition bool",
    "Parameter": "1 name string, 2 type uint32, 3 int_value uint32|, 4 long_value uint64|, 5 float_value float|,"
    " 6 double_value double|, 7 boolean_value bool|, 8 string_value string|",
}
"""Fields of each message: number, name, type; ``*`` repeats, ``|`` is one of the message's values. Others are skipped."""


def _classes() -> dict[str, type[Message]]:
    file = descriptor_pb2.FileDescriptorProto(name="cityops/sparkplug.proto", package=PACKAGE, syntax="proto2")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        if "|" in fields:
            message.oneof_decl.add(name="value")
        for declared in fields.split(","):
            _field(message, *declared.split())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in MESSAGES}


def _field(message: Any, number: str, name: str, kind: str) -> None:
    plain = kind.rstrip("*|")
    field = message.field.add(name=name, number=int(number))
    field.label = FIELD.LABEL_REPEATED if kind.endswith("*") else FIELD.LABEL_OPTIONAL
    if plain in SCALARS:
        field.type = SCALARS[plain]
    else:
        field.type, field.type_name = FIELD.TYPE_MESSAGE, f".{PACKAGE}.{plain}"
    if kind.endswith("|"):
        field.oneof_index = 0


_made = _classes()
Payload: Final[Any] = _made["Payload"]


def parse(packet: bytes) -> Any:
    """Give the payload that the bytes are; what is none is a ``bad_frame``."""
    found = Payload()
    try:
        found.ParseFromString(packet)
    except (DecodeError, RecursionError) as error:
        raise Reject("bad_frame", f"no Sparkplug B payload: {str(error)[:120]}", packet) from error
    return found
