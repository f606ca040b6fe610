import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";
import { Problem } from "./problem.js";

/** Who may ask: what keeps web pages of other sites, and people without the token, from the controller. */
export interface GuardOptions {
  /** Host names under which the interface is reached, beside localhost and IP addresses. */
  readonly hosts?: readonly string[] | undefined;
  /** Asked for as `Authorization: Bearer TOKEN`; of a WebSocket also as the subprotocol `bearer.TOKEN`, since a page
   *  cannot give it a header. */
  readonly token?: string | undefined;
}

const nameOf = (host: string): string =>
  host
    .replace(/:\d+$/, "")
    .replace(/^\[(.*)\]$/, "$1")
    .toLowerCase();

/** A name that someone else's DNS could give our address (DNS rebinding) is not ours. */
function isOurs(host: string, { hosts = [] }: GuardOptions): boolean {
  const name = nameOf(host);
  return name === "localhost" || isIP(name) !== 0 || hosts.some((ours) => ours.toLowerCase() === name);
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
  // A link that was clicked elsewhere shows its answer to the person, not to the page it stood on.
  const isClick = method === "GET" && headers["sec-fetch-mode"] === "navigate";
  if (isForeign || (!isClick && (site === "cross-site" || site === "same-site")))
    throw new Problem(403, "requests of pages of other sites are not allowed");
  // What a form can send needs no leave of the browser; scripts send no Origin, and curl -d calls JSON a form.
  const type = (headers["content-type"] ?? "").split(";")[0]!.trim().toLowerCase();
  const isBrowser = origin !== undefined || site !== undefined || headers.referer !== undefined;
  const hasBody = headers["content-length"] !== "0" && (type !== "" || "content-length" in headers);
  if (method === "POST" && isBrowser && hasBody && type !== "application/json")
    throw new Problem(415, `Content-Type is "${type}", not application/json`);
}

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

/** Throws a Problem for a request that does not show the token, where one is asked for. */
export function checkToken({ headers }: IncomingMessage, { token }: GuardOptions): void {
  if (token === undefined) return;
  const shown =
    /^Bearer +(\S+)$/i.exec(headers.authorization ?? "")?.[1] ??
    /(?:^|,)\s*bearer\.([^\s,]+)/.exec(headers["sec-websocket-protocol"] ?? "")?.[1];
  if (shown === undefined) throw new Problem(401, "a token is asked for: Authorization: Bearer TOKEN");
  if (!timingSafeEqual(digest(shown), digest(token)))
    throw new Problem(401, "the token is not the right one");
}
