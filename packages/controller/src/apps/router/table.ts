import {
  contains,
  formatIp,
  formatNetwork,
  type Ip,
  isSameIp,
  isUnicast,
  type Network,
  networkOf,
  parseCidr,
  parseIp,
} from "./ip.js";

/** What a router has been told of one VLAN: its addresses, and routes. */
export interface Address extends Network {
  readonly address_id: number;
}
export interface Route {
  readonly route_id: number;
  readonly destination: Network;
  readonly gateway: Ip;
}

/** A command that cannot be carried out as things stand; not a malformed one. */
export class CommandFailure extends Error {}
/** A malformed one. */
export class InvalidValue extends Error {
  readonly field: string;
  constructor(field: string) {
    super(`Invalid [${field}] value.`);
    this.field = field;
  }
}

const MAX_ADDRESSES = 4096;
const MAX_ROUTES = 65_535;

export class RoutingTable {
  readonly addresses = new Map<number, Address>();
  readonly routes = new Map<number, Route>();
  #addressId = 0;
  #routeId = 0;

  get isEmpty(): boolean {
    return this.addresses.size === 0 && this.routes.size === 0;
  }

  /** "A/M": the router's own address in a network that it is connected to. Throws InvalidValue or CommandFailure. */
  addAddress(text: unknown): Address {
    const network = typeof text === "string" ? parseCidr(text) : undefined;
    if (network === undefined || !isUnicast(network.ip)) throw new InvalidValue("address");
    for (const other of this.addresses.values()) {
      if (contains(other, network.ip) || contains(network, other.ip))
        throw new CommandFailure(`Address overlaps [address_id=${other.address_id}]`);
    }
    if (this.addresses.size >= MAX_ADDRESSES)
      throw new CommandFailure(`There are ${MAX_ADDRESSES} addresses`);
    const address = { ...network, address_id: ++this.#addressId };
    this.addresses.set(address.address_id, address);
    return address;
  }

  /** Destination "A/M", or undefined for all; the gateway is in a network that the router is connected to. */
  addRoute(destination: unknown, gatewayText: unknown): Route {
    const gateway = typeof gatewayText === "string" ? parseIp(gatewayText) : undefined;
    if (gateway === undefined || !isUnicast(gateway)) throw new InvalidValue("gateway");
    const everywhere = gateway.family === 4 ? "0.0.0.0/0" : "::/0";
    const given = parseCidr(destination === undefined ? everywhere : String(destination));
    if (given === undefined || given.ip.family !== gateway.family) throw new InvalidValue("destination");
    const network = networkOf(given);
    const address = this.addressFor(gateway);
    if (address === undefined)
      throw new CommandFailure(`Gateway=${formatIp(gateway)}'s address is not registered.`);
    if (isSameIp(address.ip, gateway)) {
      const text = `Gateway=${formatIp(gateway)} is used as default gateway of address_id=${address.address_id}`;
      throw new CommandFailure(text);
    }
    const key = formatNetwork(network);
    for (const { route_id, destination } of this.routes.values())
      if (formatNetwork(destination) === key)
        throw new CommandFailure(`Destination overlaps [route_id=${route_id}]`);
    if (this.routes.size >= MAX_ROUTES) throw new CommandFailure(`There are ${MAX_ROUTES} routes`);
    const route = { route_id: ++this.#routeId, destination: network, gateway };
    this.routes.set(route.route_id, route);
    return route;
  }

  /** The address of the network that `ip` is in. */
  addressFor(ip: Ip): Address | undefined {
    for (const address of this.addresses.values()) if (contains(address, ip)) return address;
    return undefined;
  }

  isOwn(ip: Ip): boolean {
    for (const address of this.addresses.values()) if (isSameIp(address.ip, ip)) return true;
    return false;
  }

  isGateway(ip: Ip): boolean {
    for (const { gateway } of this.routes.values()) if (isSameIp(gateway, ip)) return true;
    return false;
  }

  /** Who gets what is for `dst` next: the longest prefix decides, a connected network before a route as long. */
  nextHop(dst: Ip): Ip | undefined {
    const address = this.addressFor(dst);
    let best: Route | undefined;
    for (const route of this.routes.values()) {
      if (!contains(route.destination, dst)) continue;
      if (best === undefined || route.destination.prefix > best.destination.prefix) best = route;
    }
    if (address !== undefined && address.prefix >= (best?.destination.prefix ?? 0)) return dst;
    return best?.gateway;
  }

  /** Addresses that routes need: their gateways are in the same network. */
  neededAddresses(): Set<number> {
    const needed = [...this.routes.values()].map(({ gateway }) => this.addressFor(gateway)?.address_id);
    return new Set(needed.filter((id) => id !== undefined));
  }
}
