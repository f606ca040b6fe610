export { FLOOD_GROUP, FORWARDING_COOKIE, pathGroup } from "./flows.js";
export { type ForwardingOptions, forwarding, forwardingApp } from "./forwarding.js";
