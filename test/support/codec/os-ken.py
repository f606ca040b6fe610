# Reads OpenFlow 1.3 messages, hex, one a line; writes what os-ken's parser makes of each, JSON, one a line: null where it
# has no parser for the type, {"exception": ...} where it fails. Integers that JSON would round are texts.
import json
import logging
import signal
import sys

from os_ken.ofproto import ofproto_parser, ofproto_protocol, ofproto_v1_3_parser  # noqa: F401

logging.disable(logging.CRITICAL)
DATAPATH = ofproto_protocol.ProtocolDesc(version=4)


class Hangs(Exception):
    pass


def hangs(_signal, _frame):
    raise Hangs("no end after 1 s")


def exact(value):
    if isinstance(value, dict):
        return {key: exact(member) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [exact(member) for member in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**53:
        return str(value)
    return value


def parsed(line):
    data = bytes.fromhex(line)
    signal.setitimer(signal.ITIMER_REAL, 1)
    try:
        version, kind, length, xid = ofproto_parser.header(data)
        message = ofproto_parser.msg(DATAPATH, version, kind, length, xid, data)
        return None if message is None else exact(message.to_jsondict())
    except Exception as error:  # Whatever it is, the next message is parsed too.
        return {"exception": f"{type(error).__name__}: {error}"}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


signal.signal(signal.SIGALRM, hangs)
for line in sys.stdin:
    print(json.dumps(parsed(line.strip())))
