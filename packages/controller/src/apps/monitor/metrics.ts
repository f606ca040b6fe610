import { type Monitor, PORT_COUNTERS } from "./monitor.js";

/** For each counter of ports its name in Prometheus' style, and what it counts. */
const NAMES: Readonly<Record<(typeof PORT_COUNTERS)[number], readonly [name: string, help: string]>> = {
  rx_packets: ["sluice_port_receive_packets_total", "Packets that a port received."],
  tx_packets: ["sluice_port_transmit_packets_total", "Packets that a port sent."],
  rx_bytes: ["sluice_port_receive_bytes_total", "Bytes that a port received."],
  tx_bytes: ["sluice_port_transmit_bytes_total", "Bytes that a port sent."],
  rx_dropped: ["sluice_port_receive_drop_total", "Received packets that a port dropped."],
  tx_dropped: ["sluice_port_transmit_drop_total", "Packets to send that a port dropped."],
  rx_errors: ["sluice_port_receive_errs_total", "Errors at receiving of a port."],
  tx_errors: ["sluice_port_transmit_errs_total", "Errors at sending of a port."],
};

const escaped = (text: string): string => text.replace(/[\\"\n]/g, (c) => (c === "\n" ? "\\n" : `\\${c}`));

/** The counters of all ports, as last read, in the text format of Prometheus: whole, where numbers would round. */
export function monitorMetrics(monitor: Monitor): string {
  const ports = monitor.ports().filter(({ series }) => series.counters.length > 0);
  return PORT_COUNTERS.map((counter, i) => {
    const [name, help] = NAMES[counter];
    const samples = ports.map(({ dpid, port_no, name: port, series }) => {
      const labels = `dpid="${dpid.toString(16).padStart(16, "0")}",port="${port_no}",name="${escaped(port)}"`;
      return `${name}{${labels}} ${series.counters[i]}\n`;
    });
    return `# HELP ${name} ${help}\n# TYPE ${name} counter\n${samples.join("")}`;
  }).join("");
}
