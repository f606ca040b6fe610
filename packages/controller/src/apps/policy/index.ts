export {
  type AclRule,
  type Policy,
  type PolicyPort,
  type PolicySwitch,
  parsePolicy,
  readPolicy,
  type Vlan,
} from "./document.js";
export { POLICY_COOKIE, type PolicyHost, policyFlows } from "./flows.js";
export { type PolicyApp, type PolicyCounters, type PolicyOptions, policy, policyApp } from "./policy.js";
