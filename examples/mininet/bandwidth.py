"""The TCP bandwidth between the first host and the last one, as a test of mn:

    mn --custom examples/mininet/sluice_switch.py,examples/mininet/bandwidth.py ... --test bandwidth

Mininet's own "iperf" waits for ever with iperf 2.1 (Debian 12), on whatever switch: it counts two reports of the
server, and that version prints one.
"""

import re
import time

from mininet.log import output


def bandwidth(net, seconds=1):
    client, server = net.hosts[0], net.hosts[-1]
    output("*** Bandwidth from %s to %s\n" % (client, server))
    process = server.popen(["iperf", "-s"])
    try:
        deadline = time.monotonic() + 20
        while True:
            report = client.cmd("iperf -c %s -t %s" % (server.IP(), seconds))
            found = re.findall(r"[\d.]+ [KMG]?bits/sec", report)
            if found:
                output("*** Results: %s\n" % found[-1])
                return found[-1]
            if process.poll() is not None or time.monotonic() > deadline:
                raise Exception("iperf from %s to %s failed:\n%s" % (client, server, report))
            time.sleep(0.2)
    finally:
        process.terminate()
        process.wait()


tests = {"bandwidth": bandwidth}
