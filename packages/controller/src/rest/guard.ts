import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";
import { Problem } from "./problem.js";

/** What keeps web pages of other sites from talking to the controller through a person's browser. */
export interface GuardOptions {
  /** Host names under which the interface is reached, beside localhost and IP addresses. */
  readonly hosts?: readonly string[];
}

const nameOf = (host: string): string =>
  host
    .replace(/:\d+$/, "")
    .replace(/^\[(.*)\]$/, "$1")
    .toLowerCase();

/** A name that someone else's DNS could give our address (DNS rebinding) is not ours. */
function isOurs(host: string, { hosts = [] }: GuardOptions): boolean {
  const name = nameOf(host);
  return name === "localhost" || isIP(name) !== 0 || hosts.includes(name);
}

/** Throws a Problem for a request that a page of another site may have made. */
export function checkRequest({ headers, method = "GET" }: IncomingMessage, options: GuardOptions): void {
  const { host = "", origin } = headers;
  if (!isOurs(host, options)) {
    const what = `Host "${host.slice(0, 100)}" is not allowed; --rest-host allows a name`;
    throw new Problem(403, what);
  }
  const site = headers["sec-fetch-site"];
  const isForeign = origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`;
  if (isForeign || site === "cross-site" || site === "same-site")
    throw new Problem(403, "requests of pages of other sites are not allowed");
  // What a form can send needs no leave of the browser; scripts send no Origin, and curl -d calls JSON a form.
  const type = (headers["content-type"] ?? "").split(";")[0]!.trim().toLowerCase();
  const isBrowser = origin !== undefined || site !== undefined || headers.referer !== undefined;
  const hasBody = headers["content-length"] !== "0" && (type !== "" || "content-length" in headers);
  if (method === "POST" && isBrowser && hasBody && type !== "application/json")
    throw new Problem(415, `Content-Type is "${type}", not application/json`);
}
